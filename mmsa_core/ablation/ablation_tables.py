"""The tables of an ablation: each variant beside the full recipe, and what leaving a part out changes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmsa_core.ablation.ablation import FULL
from mmsa_core.comparison import compare_tables
from mmsa_core.comparison.compare import Comparison, compare
from mmsa_core.display import Display
from mmsa_core.evaluation.evaluation import Evaluated, Summary, summarize
from mmsa_core.run_folder import checkpoint
from mmsa_core.statistics.comparison import LEVEL

RESAMPLES = 10_000
"""At least; with many comparisons it takes more to find any significant after their correction."""
Sections = Mapping[str, Mapping[str, Summary]]
"""By variant: by condition or average: metrics over seeds."""


def show(evaluated: Mapping[str, Evaluated], folder: Path, display: Display) -> None:
    """Print a table for each average of a protocol (or condition, if it has none), and write all as CSV and JSON."""
    full = evaluated[FULL]
    summaries = {name: each.summary() for name, each in evaluated.items()}
    rows = {name: found["conditions"] | found["averages"] for name, found in summaries.items()}
    changes = {f"{name} - {FULL}": difference(rows[FULL], own) for name, own in rows.items() if name != FULL}
    seeds, references = summaries[FULL]["seeds"], summaries[FULL]["references"]
    of = f"mean ± std of {len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    for place in full.protocol.averages or full.protocol.conditions:
        table = {name: own[place] for name, own in (rows | changes).items() if place in own}
        title = f"{full.recipe.name}, {full.split_name} split, {place} of protocol {full.protocol.name}: {of}"
        display.table(title, "variant", full.task, table, references, full.protocol.metrics)
        if lacking := [name for name in rows if place not in rows[name]]:
            display.note(f"{', '.join(lacking)}: has no {place}, since its model reads other modalities")
    counts = {name: found["samples"] for name, found in summaries.items()}
    if len(set(counts.values())) > 1:
        display.warn(f"the variants are over other samples: {', '.join(f'{n}: {c}' for n, c in counts.items())}")
    compared = compare_with_full(evaluated)
    if compared is not None:
        said = (*compare_tables.conclusions(compared), *compare_tables.basis(compared))
        for sentence in said:
            display.console.print(sentence, highlight=False, markup=False, soft_wrap=not display.console.is_terminal)
        for sentence in compare_tables.cautions(compared):
            display.warn(sentence)
    name = f"ablation-{full.protocol.name}"
    header = ["variant", "condition", "metric", "mean", "std", *(f"seed {seed}" for seed in seeds)]
    lines = checkpoint.csv_text(header, _lines(rows | changes))
    tested = compare_tables.plain(compared) if compared is not None else None
    whole = checkpoint.json_text({"seeds": seeds, "variants": summaries, "differences": changes, "comparison": tested})
    for path, text in ((folder / f"{name}.csv", lines), (folder / f"{name}.json", whole)):
        written = checkpoint.write_numbered(path, text.encode())
        display.console.print(f"written: {written}", markup=False, highlight=False, soft_wrap=True)


def compare_with_full(evaluated: Mapping[str, Evaluated]) -> Comparison | None:
    """The paired comparison with the full recipe of the variants that answer to the same conditions and samples."""
    full = evaluated[FULL]
    conditions = list(full.protocol.conditions)
    same = {
        name: each
        for name, each in evaluated.items()
        if list(each.protocol.conditions) == conditions and each.split.ids == full.split.ids
    }
    if len(same) == 1:
        return None
    count = (len(same) - 1) * max(len(conditions), len(full.protocol.averages))
    return compare(same, resamples=max(RESAMPLES, int(2 * count / LEVEL)))


def difference(full: Mapping[str, Summary], variant: Mapping[str, Summary]) -> dict[str, Summary]:
    """Variant minus full in what both have: mean and deviation of the differences of the same seeds."""
    return {place: _over_seeds(full[place], variant[place]) for place in full if place in variant}


def _over_seeds(full: Summary, variant: Summary) -> Summary:
    pairs = {
        metric: list(zip(full[metric]["values"], variant[metric]["values"], strict=True))
        for metric in full
        if metric in variant
    }
    count = len(next(iter(pairs.values())))
    each = [
        {metric: None if None in found[n] else found[n][1] - found[n][0] for metric, found in pairs.items()}
        for n in range(count)
    ]
    return summarize(each)


def _lines(rows: Sections) -> Iterator[list[Any]]:
    for variant, places in rows.items():
        for place, metrics in places.items():
            for metric, found in metrics.items():
                yield [variant, place, metric, found["mean"], found["std"], *found["values"]]
