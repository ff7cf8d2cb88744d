"""A fusion and what it is tried with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from mmsa_core.components import Context, Fusion
from mmsa_core.tasks import TaskBase
from mmsa_core.testing.building import seeded
from mmsa_core.testing.compare import same_outputs
from mmsa_core.testing.samples import (
    PADDING,
    batch,
    cast,
    context,
    encoded,
)
from mmsa_core.types import Batch, Encoded, Modality, Outputs

Inputs = Mapping[Modality, Encoded]


@dataclass(frozen=True)
class Case:
    """A fusion of several modalities for a task; sample 3 has none of them."""

    who: str
    component: type[Fusion]
    config: Any
    made: Context
    full: Batch
    padding: bool
    """Whether longer batches are tried."""

    @classmethod
    def of(
        cls, component: type[Fusion], config: Any, count: int, task: TaskBase, dim: int, padding: bool | None
    ) -> "Case":
        who = f"{component.__name__} ({count} modalities, task {getattr(task, 'kind', '')})"
        full = batch(count, task=task)
        full = full.hide({m: (torch.arange(len(o)) == 3).unsqueeze(1).expand_as(o) for m, o in full.observed.items()})
        case = cls(who, component, config, context(full, task, dim, PADDING), full, True)
        if padding if padding is not None else not case.fusion.fixed_length:
            return case
        return replace(case, made=context(full, task, dim, 0), padding=False)

    def build(self, seed: int = 0) -> Fusion:
        made: Fusion = seeded(seed, lambda: self.component(self.config, self.made), self.who)
        return made.eval()

    @property
    def inputs(self) -> Inputs:
        return encoded(self.full, self.made)

    def cast(self, dtype: torch.dtype) -> Inputs:
        found: Inputs = cast(self.inputs, dtype)
        return found

    def call(self, module: Any, inputs: Inputs) -> Outputs:
        out: Outputs = module(inputs)
        return out

    @cached_property
    def fusion(self) -> Fusion:
        return self.build()

    @cached_property
    def out(self) -> Outputs:
        return self.run(self.full)

    def run(self, of: Batch) -> Outputs:
        return self.call(self.fusion, encoded(of, self.made))

    def same(self, defect: str, found: Outputs, wanted: Outputs) -> None:
        same_outputs(self.who, defect, found, wanted)
