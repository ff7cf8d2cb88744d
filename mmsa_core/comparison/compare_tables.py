"""Comparisons in words, as plain data for JSON, and as rows for CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from mmsa_core.comparison.compare import SAME, Comparison, Row
from mmsa_core.display import scale_of
from mmsa_core.statistics.comparison import LEVEL

FEW_VIDEOS, FEW_SEEDS = 20, 5
"""From fewer a resample tells little of how much they differ."""
RATES = ("positive_rate", "positive_rate_tuned")


def span(row: Row, scale: float) -> str:
    """The interval."""
    low, high = row.interval.low, row.interval.high
    return "" if low is None or high is None else f"[{signed(low, scale)}, {signed(high, scale)}]"


def signed(value: float, scale: float) -> str:
    """A difference, in points or in the metric's unit."""
    text = f"{value * scale:+.1f}" if scale == 100 else f"{value:+.3f}"
    return text.replace("-", "−") if float(text) else text[1:]


def verdict(row: Row) -> str:
    """The verdict; * where zero is outside the interval, but not after the correction."""
    star = "*" if row.interval.leaves_zero_out and row.verdict == SAME else ""
    return f"{row.verdict}{star}{', threshold' if row.threshold_effect else ''}"


def conclusions(found: Comparison) -> Iterator[str]:
    """What the averages say in words; without averages what the conditions say."""
    family = "averages" if found.first.protocol.averages else "conditions"
    for run in found.runs:
        for name in dict.fromkeys(row.condition for row in found.rows if row.family == family):
            rows = [row for row in found.rows if (row.run, row.condition) == (run, name)]
            yield f"{run} against {found.baseline}, {name}: {_said(rows)}"
    if any(row.interval.leaves_zero_out and row.verdict == SAME for row in found.rows):
        yield "*: zero is outside the interval, but among so many comparisons that is no evidence"
    if any(row.threshold_effect for row in found.rows):
        yield (
            "threshold: zero is outside the interval, and inside that of the AUC: negatives and positives are divided "
            "elsewhere, and not shown to be told apart better or worse"
        )


def _said(rows: Sequence[Row]) -> str:
    """Verdicts, each with the metrics that it is by."""
    by: dict[str, list[str]] = {}
    for row in rows:
        if not row.metric.endswith(RATES):
            scale = scale_of(row.metric)
            size = "" if row.difference is None else f"{signed(row.difference, scale)} {span(row, scale)}"
            size = f" ({size})" if span(row, scale) else ""
            effect = ", a threshold effect" if row.threshold_effect else ""
            by.setdefault(row.verdict, []).append(row.metric if row.verdict == SAME else f"{row.metric}{size}{effect}")
    return "; ".join(f"{verdict} by {', '.join(metrics)}" for verdict, metrics in by.items())


def basis(found: Comparison) -> Iterator[str]:
    """What the numbers rest on: samples, seeds, resamples, what is drawn, the correction, the masks."""
    first, plan = found.first, found.plan
    for name, each in first.protocol.averages.items():
        how = "mean over" if each.how == "mean" else "area under the curve, per unit of rate, over"
        yield f"{name}: {how} {', '.join(each.over)}"
    yield f"samples: {_samples(found)}; seeds: {_seeds(found)}; masks: seed {first.recipe.evaluate.seed}"
    yield (
        f"intervals: percentiles of {plan.resamples} resamples (seed {plan.seed}), which draw {_drawn(found)} with "
        "replacement, the same ones for both runs in all conditions"
    )
    sizes = {
        family: sum(row.family == family and row.metric == found.metrics[0] for row in found.rows)
        for family in ("conditions", "averages")
    }
    families = " and ".join(f"the {size} of {family}" for family, size in sizes.items() if size)
    yield f"p: corrected by Holm for all comparisons by one metric, {families} apart; verdicts at {LEVEL}"
    yield "d: difference over its standard deviation between seeds, Hedges' correction; empty with fewer than 3 seeds"
    if lost := max(row.interval.undefined for row in found.rows):
        yield f"resamples in which a metric is undefined are left out: {lost} at most"


def cautions(found: Comparison) -> Iterator[str]:
    """What makes the numbers less sure than they look."""
    if all(len(each.seeds) == 1 for each in found.distributions.values()):
        yield "one seed: how much seeds differ is not known; verdicts are about these networks, not about their recipes"
    for name, each in found.distributions.items():
        if len(each.seeds) == 1 and any(len(other.seeds) > 1 for other in found.distributions.values()):
            yield f"{name} has one seed: how much its results differ between seeds is not known"
    if found.cluster == "video" and found.plan.units < FEW_VIDEOS:
        yield f"{found.plan.units} videos are few: intervals may be too narrow"
    least = min(len(each.seeds) for each in found.distributions.values())
    if 1 < least < FEW_SEEDS:
        yield f"{least} seeds are few: intervals may be too narrow"
    for run in found.runs:
        if found.evaluated[run].data_digest != found.first.data_digest:
            yield f"{run} and {found.baseline} were trained on other files; they are compared on the same samples"
        if not found.paired(run):
            yield f"{run} and {found.baseline} have other seeds; seeds are drawn for each alone"


def _samples(found: Comparison) -> str:
    rows = found.first.scores[0].rows
    counts = {name: int(each.sum()) for name, each in rows.items()}
    total = len(found.first.split)
    if set(counts.values()) == {total}:
        return str(total)
    return f"{total}, of which count " + ", ".join(f"{n} in {name}" for name, n in counts.items())


def _seeds(found: Comparison) -> str:
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, each in found.distributions.items():
        groups.setdefault(each.seeds, []).append(name)
    if len(groups) == 1:
        (seeds,) = groups
        return ", ".join(map(str, seeds)) + (", paired" if len(seeds) > 1 else "")
    return "; ".join(f"{', '.join(names)}: {', '.join(map(str, seeds))}" for seeds, names in groups.items())


def _drawn(found: Comparison) -> str:
    units = found.plan.units
    what = f"{units - 1} of {units} {'videos whole' if found.cluster == 'video' else 'samples'}"
    sizes = {len(each.seeds) for each in found.distributions.values()}
    if sizes == {1}:
        return what
    return f"{what} and {max(sizes) - 1} of {max(sizes)} seeds" if len(sizes) == 1 else f"{what} and all seeds but one"


def plain(found: Comparison) -> dict[str, Any]:
    """Everything as plain data."""
    first = found.first
    return {
        "protocol": first.protocol.name,
        "split": first.split_name,
        "baseline": found.baseline,
        "runs": {
            name: {
                "folder": str(each.folder),
                "recipe": each.recipe.name,
                "seeds": list(found.distributions[name].seeds),
            }
            for name, each in found.evaluated.items()
        },
        "paired": {name: found.paired(name) for name in found.runs},
        "samples": len(first.split),
        "samples_of": {name: int(rows.sum()) for name, rows in first.scores[0].rows.items()},
        "data_sha256": first.data_digest,
        "mask_seed": first.recipe.evaluate.seed,
        "resamples": found.plan.resamples,
        "resampling_seed": found.plan.seed,
        "cluster": found.cluster,
        "units": found.plan.units,
        "level": LEVEL,
        "correction": "Holm, over all runs and all averages (or conditions) by one metric",
        "averaged": {
            name: {"over": list(each.over), "how": each.how} for name, each in first.protocol.averages.items()
        },
        "references": found.references,
        "comparisons": [_flat(row) for row in found.rows],
        "conclusions": list(conclusions(found)),
        "cautions": list(cautions(found)),
    }


def _flat(row: Row) -> dict[str, Any]:
    values: dict[str, Any] = asdict(row)
    return values | values.pop("interval")  # type: ignore[no-any-return]


def table(found: Sequence[Comparison]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows: one for each comparison under each protocol."""
    flat = [
        {"protocol": each.first.protocol.name, "against": each.baseline, **_flat(row)}
        for each in found
        for row in each.rows
    ]
    header = list(flat[0])
    return header, [[row[name] for name in header] for row in flat]
