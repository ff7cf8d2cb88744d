"""One run's metrics in every condition and average: on the samples as they are, and in every resample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.evaluation.measures import Measure
from mmsa_core.evaluation.protocol import average
from mmsa_core.statistics.comparison import over_seeds
from mmsa_core.statistics.counted import Values
from mmsa_core.statistics.resampling import CHUNK, Resampling

Condition = str
"""The name of a condition, or of an average."""
Metric = str
Where = tuple[Metric, Condition]
Measures = Mapping[Where, Sequence[Measure]]
"""In each condition the metrics, each with a measure for every seed."""


@dataclass(frozen=True)
class Distributions:
    """A metric in a condition: its value for each seed, and its mean over the drawn seeds in each resample."""

    seeds: tuple[int, ...]
    values: Mapping[Where, Sequence[float | None]]
    resampled: Mapping[Where, Values]

    def mean(self, where: Where) -> float | None:
        """Over seeds, on the samples as they are; None if it is undefined for one of them."""
        values = self.values[where]
        return average(values, [1 / len(values)] * len(values))


def metrics_of(evaluated: Evaluated) -> list[Metric]:
    """What can be measured of a run."""
    first = evaluated.scores[0]
    return list(evaluated.values(first, next(iter(first.rows))))


def distributions(evaluated: Evaluated, wanted: Sequence[Metric], plan: Resampling) -> Distributions:
    """Resample one run: the same samples for every run that is given the same plan."""
    measures, seeds = _measures(evaluated, wanted), tuple(sorted(each.seed for each in evaluated.scores))
    values: dict[Where, Sequence[float | None]] = {
        where: [each.value() for each in of_seeds] for where, of_seeds in measures.items()
    }
    resampled = _resampled(evaluated, measures, plan, seeds)
    conditions = evaluated.protocol.conditions
    for name, each in evaluated.protocol.averages.items():
        shares = each.weights(conditions)
        for metric in wanted:
            per_condition = [values[metric, condition] for condition in shares]
            values[metric, name] = [average(found, list(shares.values())) for found in zip(*per_condition, strict=True)]
            resampled[metric, name] = np.einsum(
                "c,cr->r", list(shares.values()), [resampled[metric, condition] for condition in shares]
            )
    return Distributions(seeds, values, resampled)


def _measures(evaluated: Evaluated, wanted: Sequence[Metric]) -> Measures:
    """Seeds in rising order, so that runs of the same seeds are paired."""
    ordered = sorted(evaluated.scores, key=lambda each: each.seed)
    found: dict[Where, list[Measure]] = {}
    for each in ordered:
        for condition, rows in each.rows.items():
            measures = evaluated.task.measures(each.answers[condition].logits[rows], each.target[rows], each.threshold)
            for metric in wanted:
                found.setdefault((metric, condition), []).append(measures[metric])
    return found


def _resampled(evaluated: Evaluated, measures: Measures, plan: Resampling, seeds: Sequence[int]) -> dict[Where, Values]:
    kept = {condition: rows.numpy() for condition, rows in evaluated.scores[0].rows.items()}
    found = {where: np.empty(plan.resamples) for where in measures}
    weights = plan.seeds(seeds)
    for number, counts in enumerate(plan.samples()):
        part = slice(number * CHUNK, number * CHUNK + counts.shape[1])
        drawn = {condition: counts if rows.all() else counts[rows] for condition, rows in kept.items()}
        for (metric, condition), of_seeds in measures.items():
            found[metric, condition][part] = over_seeds(of_seeds, drawn[condition], weights[:, part])
    return found
