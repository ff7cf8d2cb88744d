"""An encoder and what it is tried with."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mmsa_core.components import Context, Encoder
from mmsa_core.testing.building import seeded
from mmsa_core.testing.compare import same_encoded
from mmsa_core.testing.samples import PADDING, batch, context, tokens
from mmsa_core.types import Encoded, Modality

Inputs = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """An encoder of the last of several modalities; sample 1 has no frame, sample 2 its last one alone."""

    who: str
    component: type[Encoder]
    config: Any
    made: Context
    modality: Modality
    inputs: Inputs
    vocabulary: int

    @classmethod
    def of(cls, component: type[Encoder], config: Any, count: int, dim: int, vocabulary: int) -> "Case":
        full = batch(count)
        full = tokens(full, vocabulary) if vocabulary else full
        *_, m = full.features
        seen = full.observed[m].clone()
        seen[1] = False
        seen[2], seen[2, -1] = False, True
        made = context(full, dim=dim, padding=PADDING)
        case = cls(component.__name__, component, config, made, m, (full.features[m], seen), vocabulary)
        return replace(case, made=context(full, dim=dim, padding=0)) if case.encoder.fixed_length else case

    def build(self, seed: int = 0) -> Encoder:
        made: Encoder = seeded(seed, lambda: self.component(self.config, self.made, self.modality), self.who)
        return made.eval()

    def call(self, module: Any, inputs: Inputs) -> Encoded:
        out: Encoded = module(*inputs)
        return out

    def cast(self, dtype: torch.dtype) -> Inputs:
        """Token ids stay as they are: what is exact in float32 is not in 16 bits."""
        x, seen = self.inputs
        return (x, seen) if self.vocabulary else (x.to(dtype), seen)

    @cached_property
    def encoder(self) -> Encoder:
        return self.build()

    @cached_property
    def out(self) -> Encoded:
        return self.call(self.encoder, self.inputs)

    def same(self, defect: str, found: Encoded, wanted: Encoded) -> None:
        same_encoded(self.who, defect, found, wanted)
