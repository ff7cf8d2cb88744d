"""Runs against a baseline on the same samples and masks: differences, and how sure they are.

`statistics` has the resampling and the tests; here they meet trained runs and a protocol.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from mmsa_core import metrics
from mmsa_core.comparison.distributions import Condition, Distributions, Metric, distributions, metrics_of
from mmsa_core.display import headline
from mmsa_core.errors import UserError
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.inspection.shared import group
from mmsa_core.statistics.comparison import LEVEL, Interval, hedges, holm, interval, smallest_p
from mmsa_core.statistics.resampling import Resampling, numbered

Cluster = Literal["video", "none"]
Family = Literal["averages", "conditions"]
SAME = "not distinguishable"


@dataclass(frozen=True)
class Row:
    """One run against the baseline, in one condition or average, by one metric."""

    run: str
    metric: Metric
    condition: Condition
    family: Family
    baseline: float | None
    """The mean over seeds, on the samples as they are."""
    value: float | None
    difference: float | None
    interval: Interval
    corrected: float | None
    """The p-value after Holm's correction over the family: all runs in all averages (or conditions), by this metric."""
    d: float | None
    verdict: str
    threshold_effect: bool = False
    """Zero is outside the interval, and inside that of the AUC: samples are ranked no better or worse."""


@dataclass(frozen=True)
class Comparison:
    """All comparisons under one protocol, and what they rest on."""

    baseline: str
    runs: tuple[str, ...]
    evaluated: Mapping[str, Evaluated]
    """The baseline's too."""
    metrics: tuple[Metric, ...]
    plan: Resampling
    cluster: Cluster
    distributions: Mapping[str, Distributions]
    rows: tuple[Row, ...]

    @property
    def first(self) -> Evaluated:
        """The baseline."""
        return self.evaluated[self.baseline]

    @cached_property
    def references(self) -> Mapping[str, Mapping[Metric, float | None]]:
        """The metrics of predictors that look at no sample."""
        return self.first.references()

    def paired(self, run: str) -> bool:
        """Whether a run has the baseline's seeds."""
        return self.distributions[run].seeds == self.distributions[self.baseline].seeds

    def of(self, run: str, metric: Metric) -> list[Row]:
        """One run by one metric, in all conditions and averages."""
        return [row for row in self.rows if (row.run, row.metric) == (run, metric)]


def compare(
    evaluated: Mapping[str, Evaluated],
    wanted: Sequence[Metric] = (),
    resamples: int = 10_000,
    seed: int = 0,
    cluster: Cluster | None = None,
) -> Comparison:
    """Compare every run with the first one, by the metrics wanted or else the headline ones."""
    baseline, *others = evaluated
    first = evaluated[baseline]
    chosen = chosen_metrics(list(evaluated.values()), wanted)
    unit, cluster = units(first.split.ids, cluster)
    check_resamples(first, len(others), resamples)
    plan = Resampling(resamples, seed, unit)
    found = {name: distributions(each, chosen, plan) for name, each in evaluated.items()}
    families = dict.fromkeys(first.protocol.conditions, "conditions") | dict.fromkeys(
        first.protocol.averages, "averages"
    )
    rows: list[Row] = []
    for metric in chosen:
        for family in ("averages", "conditions"):
            members = [name for name, of in families.items() if of == family]
            rows += corrected(
                [_row(run, metric, name, family, found[baseline], found[run]) for run in others for name in members]
            )
    judged = tuple(_threshold_effects(first, rows))
    return Comparison(baseline, tuple(others), evaluated, chosen, plan, cluster, found, judged)


def chosen_metrics(evaluated: Sequence[Evaluated], wanted: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics wanted, or the headline ones that all runs have, and what must stand beside each."""
    task, protocol = evaluated[0].task, evaluated[0].protocol
    sets = [metrics_of(each) for each in evaluated]
    common = [name for name in sets[0] if all(name in each for each in sets)]
    if unknown := [name for name in wanted if name not in common]:
        raise UserError(f"--metric {unknown[0]}: not a metric of all these runs; they have {', '.join(common)}")
    found = list(wanted) or headline(task, {"": dict.fromkeys(common)}, protocol.metrics)
    both = [name for metric in found for name in (metric, f"{metric}_tuned") if name in common]
    beside = [name for metric in both for name in task.beside(metric) if name in common]
    return tuple(dict.fromkeys([*both, *beside]))


def units(ids: Sequence[str], cluster: Cluster | None) -> tuple[np.ndarray, Cluster]:
    """A number for what each sample is drawn with: its video where ids tell it (by default), or itself."""
    videos = [group(name) for name in ids]
    told = None not in videos and len(set(videos)) > 1
    if cluster == "video" and not told:
        example = ids[videos.index(None)] if None in videos else ids[0]
        raise UserError(f"--cluster video: ids such as '{example}' do not tell the videos; take --cluster none")
    return (numbered(videos), "video") if told and cluster != "none" else (np.arange(len(ids)), "none")


def check_resamples(evaluated: Evaluated, runs: int, resamples: int) -> None:
    """Refuse so few resamples that no comparison could be significant after the correction."""
    protocol = evaluated.protocol
    comparisons = runs * max(len(protocol.conditions), len(protocol.averages))
    if comparisons * smallest_p(resamples) >= LEVEL:
        raise UserError(
            f"--resamples {resamples}: too few for {comparisons} comparisons under protocol {protocol.name}: corrected "
            f"for their number, none could be significant; take {int(2 * comparisons / LEVEL)} or more"
        )


def _row(
    run: str, metric: Metric, condition: Condition, family: Family, baseline: Distributions, other: Distributions
) -> Row:
    where = (metric, condition)
    before, after = baseline.mean(where), other.mean(where)
    if before is None or after is None:
        nothing = Interval(None, None, None, len(other.resampled[where]))
        return Row(run, metric, condition, family, before, after, None, nothing, None, None, "undefined")
    found = interval(other.resampled[where] - baseline.resampled[where])
    was, now = ([value for value in each.values[where] if value is not None] for each in (baseline, other))
    d = hedges(was, now, paired=baseline.seeds == other.seeds)
    return Row(run, metric, condition, family, before, after, after - before, found, None, d, "")


def corrected(family: Sequence[Row]) -> list[Row]:
    """The rows of one family with corrected p-values and what follows from them."""
    found = holm([row.interval.p for row in family])
    return [replace(row, corrected=p, verdict=_verdict(row, p)) for row, p in zip(family, found, strict=True)]


def _verdict(row: Row, p: float | None) -> str:
    if p is None or row.difference is None:
        return "undefined"
    if p >= LEVEL or row.difference == 0:
        return SAME
    more = row.difference > 0
    if "positive_rate" in row.metric:
        return "higher" if more else "lower"
    return "better" if more != (row.metric in metrics.LOWER_IS_BETTER) else "worse"


def _threshold_effects(first: Evaluated, rows: Sequence[Row]) -> Iterator[Row]:
    by = {(row.run, row.metric, row.condition): row for row in rows}
    for row in rows:
        beside = first.task.beside(row.metric)
        ranking = by.get((row.run, beside[0], row.condition)) if beside else None
        yield replace(
            row,
            threshold_effect=ranking is not None
            and ranking.interval.low is not None
            and row.interval.leaves_zero_out
            and not ranking.interval.leaves_zero_out,
        )
