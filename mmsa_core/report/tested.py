"""All runs of a report under one protocol: what its tables and curves are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.evaluation.evaluation import Values as Metrics
from mmsa_core.evaluation.protocol import Average, Protocol
from mmsa_core.report.intervals import Intervals, over_samples
from mmsa_core.report.whole import whole


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
    def averages(self) -> dict[str, Average]:
        """The averages of all runs; a run of fewer modalities has others."""
        return {name: each for found in self.found.values() for name, each in found.protocol.averages.items()}

    @cached_property
    def entries(self) -> list[str]:
        """Conditions in their order, each average right behind the last condition that it is over."""
        names = list(dict.fromkeys(name for found in self.found.values() for name in found.protocol.conditions))
        for name, each in self.averages.items():
            names.insert(max(map(names.index, each.over)) + 1, name)
        return names

    def values(self, run: str, entry: str) -> dict[str, Any]:
        """The summary of a condition or an average; empty where a run has no such condition."""
        summary = self.summaries[run]
        found: dict[str, Any] = (summary["averages"] | summary["conditions"]).get(entry, {})
        return found

    @cached_property
    def references(self) -> dict[str, dict[str, Metrics]]:
        """By condition or average: the predictors that look at no sample, asked about the same samples."""
        found: dict[str, dict[str, Metrics]] = {}
        for evaluated in reversed(list(self.found.values())):  # what the first one has is asked of the first one
            found |= _references(evaluated)
        return found

    @cached_property
    def intervals(self) -> dict[str, Intervals]:
        """Of each run of one seed, by metric and condition: where the metric lies over resampled samples."""
        return {
            run: over_samples(found, headline(found, self.values(run, self.entries[0])))
            for run, found in self.found.items()
            if len(found.scores) == 1
        }

    @property
    def complete(self) -> str | None:
        """The first run's condition that hides nothing, if there is one."""
        return self.wholes[next(iter(self.found))]

    @cached_property
    def wholes(self) -> dict[str, str | None]:
        """Of each run, the condition that hides nothing from any sample; that of fewer modalities has another name."""
        return {run: whole(evaluated) for run, evaluated in self.found.items()}


def _references(evaluated: Evaluated) -> dict[str, dict[str, Metrics]]:
    known: dict[bytes, dict[str, Metrics]] = {}
    found = {}
    for condition, rows in evaluated.scores[0].rows.items():
        key = rows.numpy().tobytes()
        if key not in known:
            known[key] = evaluated.references(rows)
        found[condition] = known[key]
    predictors = next(iter(found.values()))
    of_averages = [evaluated.averages({c: by[each] for c, by in found.items()}) for each in predictors]
    for name in evaluated.protocol.averages:
        found[name] = {each: by[name] for each, by in zip(predictors, of_averages, strict=True)}
    return found


def headline(evaluated: Evaluated, have: Mapping[str, Any], before: Sequence[str] = ()) -> list[str]:
    """The metrics that tables show: the task's, behind each F1 that at the threshold chosen on validation."""
    names: list[str] = []
    for name in dict.fromkeys((*before, *evaluated.task.headline)):
        tuned = f"{name}_tuned"
        names += [name] * (name in have) + [tuned] * (tuned in have and "f1" in name.split("_"))
    return names
