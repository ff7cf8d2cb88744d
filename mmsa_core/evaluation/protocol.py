"""Test conditions: what a trained student is denied, which samples count, and what an average is over."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.types import Batch, Modality


@dataclass(frozen=True)
class Condition:
    """What is done to a sample before the student sees it, and which samples are asked about.

    `at` is where the condition stands on an axis of rates, if it does.
    """

    maskers: tuple[Masker, ...] = ()
    samples: str = "all"
    """`all`; `complete`, those that have every modality; or the modalities of the wanted samples, as `text+audio`."""
    at: float | None = None

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        for masker in self.maskers:
            batch = masker(batch, draw)
        return batch

    def prepare(self, train: Split, raw: Collection[Modality] = ()) -> None:
        """Let the maskers learn what they need of the training split; once, before the first use."""
        for masker in self.maskers:
            masker.prepare(train, raw)

    def rows(self, split: Split) -> Bool[Tensor, " samples"]:
        """Which samples of a split count."""
        if self.samples == "all":
            return torch.ones(len(split), dtype=torch.bool)
        wanted = "+".join(split.features) if self.samples == "complete" else self.samples
        return torch.tensor([seen == wanted for seen in data.seen(split)])

    def about(self) -> dict[str, Any]:
        """The condition as plain data."""
        configs = [masker.config for masker in self.maskers]
        assert all(isinstance(config, ComponentConfig) for config in configs)
        return {"maskers": [config.model_dump(mode="json") for config in configs], "samples": self.samples}


@dataclass(frozen=True)
class Average:
    """The mean over some conditions, or the area under the curve over their rates, per unit of rate.

    The area is that of trapezoids (EMT-DLFR's AUILC, Sun et al., TAC 2023), divided by the length of the axis, so that
    it is in the metric's own unit.
    """

    over: tuple[str, ...]
    how: Literal["mean", "area"] = "mean"

    def weights(self, conditions: Mapping[str, Condition]) -> dict[str, float]:
        """How much each condition counts; the weights sum to 1."""
        if self.how == "mean":
            return dict.fromkeys(self.over, 1 / len(self.over))
        places = [conditions[name].at for name in self.over]
        at = [place for place in places if place is not None]
        assert len(at) == len(places) > 1
        assert at == sorted(at)
        length = at[-1] - at[0]
        steps = [0.0, *(after - before for before, after in itertools.pairwise(at)), 0.0]
        halves = [(before + after) / 2 for before, after in itertools.pairwise(steps)]
        return {name: half / length for name, half in zip(self.over, halves, strict=True)}


@dataclass(frozen=True)
class Protocol:
    """Named conditions, and averages with the conditions that each is over."""

    name: str
    conditions: Mapping[str, Condition]
    averages: Mapping[str, Average]
    about: str = ""
    axis: str = "condition"
    """What the names of the conditions say: a heading for tables and curves."""
    metrics: tuple[str, ...] = ()
    """The metrics of its source, where the task has them; the task's own stand beside them."""
    draw: str = ""
    """By which name masks are drawn: protocols of one draw meet the same holes."""

    def source(self, seed: int) -> Draw:
        """Where the masks' random numbers come from."""
        return Draw(self.draw or self.name, seed)

    def describe(self) -> dict[str, Any]:
        """All that the answers depend on, as plain data."""
        return {"draw": self.draw or self.name, "conditions": {n: c.about() for n, c in self.conditions.items()}}


def average(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """The weighted sum; None if a value is."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if len(set(weights)) == 1:
        return fmean(known)
    return math.fsum(value * weight for value, weight in zip(known, weights, strict=True))
