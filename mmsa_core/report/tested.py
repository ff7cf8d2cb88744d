"""All runs of a report under one protocol: what its tables and curves are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from mmsa_core.batching import batches
from mmsa_core.compare import units
from mmsa_core.distributions import distributions
from mmsa_core.evaluation import Evaluated
from mmsa_core.evaluation import Values as Metrics
from mmsa_core.protocol import Protocol, average
from mmsa_core.statistics.comparison import LEVEL
from mmsa_core.statistics.counted import Values
from mmsa_core.statistics.resampling import Resampling

RESAMPLES = 2000
"""For bands, which are drawn; comparisons take more."""


@dataclass(frozen=True)
class Tested:
    """The answers of each run, by its name."""

    found: Mapping[str, Evaluated]

    @property
    def first(self) -> Evaluated:
        """The first run's, for what all of them share."""
        return next(iter(self.found.values()))

    @property
    def protocol(self) -> Protocol:
        """The protocol."""
        return self.first.protocol

    @cached_property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """What `mmsa evaluate` prints of each run."""
        return {run: evaluated.summary() for run, evaluated in self.found.items()}

    @cached_property
    def entries(self) -> list[str]:
        """Conditions in their order, each average right behind the last condition that it is over."""
        names: list[str] = []
        for evaluated in self.found.values():
            names += [name for name in evaluated.protocol.conditions if name not in names]
        for name, each in self.protocol.averages.items():
            last = max((names.index(member) for member in each.over if member in names), default=len(names) - 1)
            names.insert(last + 1, name)
        return names

    def values(self, run: str, entry: str) -> dict[str, Any]:
        """The summary of a condition or an average; empty where a run has no such condition."""
        summary = self.summaries[run]
        found: dict[str, Any] = (summary["averages"] | summary["conditions"]).get(entry, {})
        return found

    @cached_property
    def references(self) -> dict[str, dict[str, Metrics]]:
        """By condition or average: the predictors that look at no sample, asked about the same samples."""
        known: dict[bytes, dict[str, Metrics]] = {}
        by_condition = {}
        for condition, rows in self.first.scores[0].rows.items():
            key = rows.numpy().tobytes()
            if key not in known:
                known[key] = self.first.references(rows)
            by_condition[condition] = known[key]
        return by_condition | {name: self._averaged(name, by_condition) for name in self.protocol.averages}

    def _averaged(self, name: str, by_condition: Mapping[str, dict[str, Metrics]]) -> dict[str, Metrics]:
        weights = self.protocol.averages[name].weights(self.protocol.conditions)
        predictors = by_condition[next(iter(weights))]
        return {
            predictor: {
                metric: average([by_condition[c][predictor].get(metric) for c in weights], list(weights.values()))
                for metric in values
            }
            for predictor, values in predictors.items()
        }

    @cached_property
    def intervals(self) -> dict[str, dict[tuple[str, str], tuple[float, float]]]:
        """Of each run of one seed, by metric and condition: the 95 % percentile interval over resampled samples."""
        found: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
        for run, evaluated in self.found.items():
            if len(evaluated.scores) == 1:
                plan = Resampling(RESAMPLES, 0, units(evaluated.split.ids, None)[0])
                metrics = headline(evaluated, self.values(run, self.entries[0]))
                found[run] = {
                    where: _ends(drawn) for where, drawn in distributions(evaluated, metrics, plan).resampled.items()
                }
        return found

    @cached_property
    def complete(self) -> str | None:
        """The condition that hides nothing from any sample, if there is one."""
        conditions = self.protocol.conditions
        bare = [name for name, each in conditions.items() if not each.maskers and each.samples == "all"]
        return bare[0] if bare else next((name for name in conditions if self._hides_nothing(name)), None)

    def _hides_nothing(self, name: str) -> bool:
        condition, draw = self.protocol.conditions[name], self.protocol.source(self.first.recipe.evaluate.seed)
        if condition.samples != "all":
            return False
        return all(
            torch.equal(observed, batch.observed[modality])
            for batch in batches(self.first.split, None, self.first.recipe.evaluate.batch_size)
            for modality, observed in condition(batch, draw).observed.items()
        )


def _ends(drawn: Values) -> tuple[float, float]:
    """Where the middle 95 % lie; NaN where no resample defines the metric."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def headline(evaluated: Evaluated, have: Mapping[str, Any], before: Sequence[str] = ()) -> list[str]:
    """The metrics that tables show: the task's, behind each F1 that at the threshold chosen on validation."""
    names: list[str] = []
    for name in dict.fromkeys((*before, *evaluated.task.headline)):
        tuned = f"{name}_tuned"
        names += [name] * (name in have) + [tuned] * (tuned in have and "f1" in name.split("_"))
    return names
