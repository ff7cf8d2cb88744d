"""A masker and what it is tried with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from mmsa_core.components import Masker
from mmsa_core.corpora.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.testing.compare import require
from mmsa_core.testing.samples import batch
from mmsa_core.types import Batch, Modality

SAMPLES = 64
DRAW = Draw("conformance", seed=7, epoch=3)


@dataclass(frozen=True)
class Case:
    """A masker that is prepared with a batch of so many modalities."""

    who: str
    masker: Masker
    config: Any
    full: Batch

    @classmethod
    def of(cls, masker: Masker, modalities: int | Sequence[Modality], samples: int = SAMPLES) -> "Case":
        full = batch(modalities, samples)
        masker.prepare(Split.padded(tuple(f"sample {i}" for i in range(samples)), full.features, full.observed))
        return cls(type(masker).__name__, masker, masker.config, full)

    @cached_property
    def out(self) -> Batch:
        return self.masker(self.full, DRAW)

    def same(self, defect: str, found: Batch, wanted: Batch) -> None:
        for m in wanted.observed:
            what = differs(m, found, wanted)
            require(what is None, self.who, f"{defect} ('{what}')")


def differs(m: Modality, found: Batch, wanted: Batch) -> str | None:
    """What of a modality is not the same; features of unobserved frames carry no meaning."""
    seen = wanted.observed[m]
    if not torch.equal(found.observed[m], seen):
        return m
    shown = found.features[m] is wanted.features[m] or torch.equal(found.features[m][seen], wanted.features[m][seen])
    return None if shown else f"features of {m}"
