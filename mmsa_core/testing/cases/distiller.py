"""A loss term and what it is tried with."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mmsa_core.components import Context, Distiller
from mmsa_core.testing.building import seeded
from mmsa_core.testing.compare import finite, require, same
from mmsa_core.testing.samples import (
    Build,
    cast,
    leaves,
)
from mmsa_core.types import Batch, Outputs

Inputs = tuple[Outputs, Outputs, Batch]


@dataclass(frozen=True)
class Case:
    """A term for some modalities and a task, with outputs of student and teacher."""

    who: str
    component: type[Distiller]
    config: Any
    made: Context
    full: Batch
    outputs: Build
    invariant: bool

    def build(self, seed: int = 0) -> Distiller:
        made: Distiller = seeded(seed, lambda: self.component(self.config, self.made), self.who)
        return made

    @cached_property
    def inputs(self) -> Inputs:
        read = self.component.reads
        student, teacher = self.outputs(self.full, self.made, 1), self.outputs(self.full, self.made, 2)
        require(isinstance(student, read), self.who, f"{read.__name__} has no `example` of its own; write one")
        return student, teacher, self.full

    def cast(self, dtype: torch.dtype) -> Inputs:
        found: Inputs = cast(self.inputs, dtype)
        return found

    def call(self, module: Any, inputs: Inputs) -> Tensor:
        loss: Tensor = module(*inputs)
        return loss

    @cached_property
    def term(self) -> Distiller:
        return self.build()

    @cached_property
    def value(self) -> Tensor:
        return self.loss("", *self.inputs)

    def loss(self, situation: str, student: Outputs, teacher: Outputs, of: Batch) -> Tensor:
        """The term in a situation, after its gradients have been looked at."""
        return looked_at(f"{self.who}{situation and f', {situation}'}", self.term, student, teacher, of)

    def same(self, defect: str, found: Tensor) -> None:
        same(self.who, defect, found, self.value)


def looked_at(who: str, term: Distiller, student: Outputs, teacher: Outputs, of: Batch) -> Tensor:
    """The loss of one case, after its gradients have been looked at."""
    own_s, taken = leaves(student)
    try:
        loss: Tensor = term(own_s, teacher, of)
    except Exception as error:
        raise AssertionError(f"{who}: fails with {type(error).__name__}: {error}") from error
    require(loss.shape == (), who, f"the loss is no scalar, but has shape {tuple(loss.shape)}")
    require(loss.isfinite(), who, f"the loss is {loss.item()}")
    require(loss.requires_grad, who, "the loss has no gradient; return a zero that comes from the student")
    own: list[Tensor] = [p for p in term.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, taken + own, allow_unused=True)
    ours = found[: len(taken)]
    require(any(g is not None for g in ours), who, "the student gets no gradient")
    require(finite(ours), who, "the student's gradient is not finite")
    require(finite(found[len(taken) :]), who, "the gradient of a parameter of the term is not finite")
    return loss.detach()
