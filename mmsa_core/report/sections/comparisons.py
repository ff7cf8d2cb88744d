"""Every run against one of them, on the same samples and masks: differences, and how sure they are."""

from functools import partial

from mmsa_core.comparison import compare_tables
from mmsa_core.comparison.compare import Comparison, Row
from mmsa_core.report.blocks import Block, Column, Items, Measured, Picture, Section, Table, Text
from mmsa_core.report.blocks import Row as Cells
from mmsa_core.report.drawing.forest import Difference, Forest, forests
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading, named, percent
from mmsa_core.report.tested import Tested

MOST = 4
"""Rows of panels."""


def section(material: Material) -> Section | None:
    """For each protocol a figure of the intervals, all comparisons as a table, and what they rest on."""
    if len(material.runs) == 1:
        return None
    blocks: list[Block] = [Text(reason, "warning") for reason in material.incomparable]
    for tested, found in zip(material.tested, material.comparisons, strict=True):
        if found is not None:
            blocks += [_picture(tested, found), _table(tested, found), Items(tuple(compare_tables.basis(found)))]
    return Section("Comparisons", tuple(blocks))


def ranking(found: Comparison) -> list[str]:
    """The metrics that say how well samples are told apart: F1, at both thresholds, and AUC."""
    return [name for name in found.metrics if {"f1", "auc"} & set(name.split("_"))]


def entries(tested: Tested) -> list[str]:
    """Complete input and the averages; all conditions where there is no average."""
    if not tested.protocol.averages:
        return list(tested.protocol.conditions)
    chosen = [tested.complete] if tested.complete is not None else []
    return [*chosen, *tested.protocol.averages]


def drawn_entries(tested: Tested) -> list[str]:
    """Those for which there is room in a figure; the table has all."""
    found = entries(tested)
    return found if len(found) <= MOST else [tested.complete] if tested.complete is not None else found[:MOST]


def others(tested: Tested) -> list[str]:
    """The conditions that are not among them."""
    return [name for name in tested.protocol.conditions if name not in entries(tested)]


def rows_of(found: Comparison, metric: str, entry: str) -> list[Row]:
    """All runs in one condition or average, by one metric."""
    return [row for row in found.rows if (row.metric, row.condition) == (metric, entry)]


def _picture(tested: Tested, found: Comparison) -> Picture:
    drawn = [
        Forest(
            "complete" if entry == tested.complete else entry,
            _difference(metric),
            [_drawn(row) for row in rows_of(found, metric, entry)],
        )
        for entry in drawn_entries(tested)
        for metric in ranking(found)
    ]
    name = tested.protocol.name
    return Picture(
        f"comparison-{name}",
        f"Differences from {found.baseline} under protocol {name}, with 95 % intervals (not corrected for the "
        "number of comparisons). Filled: the verdict holds after the correction; open: not distinguishable.",
        f"Intervals of the differences of {', '.join(found.runs)} from {found.baseline}: a panel for each of "
        f"{', '.join(f'{panel.title} by {panel.xlabel}' for panel in drawn)}. The numbers are in the table below.",
        partial(forests, drawn, len(ranking(found))),
    )


def _difference(metric: str) -> str:
    unit = ", points" if percent(metric) else ""
    return f"difference in {named(metric)}{unit}"


def _drawn(row: Row) -> Difference:
    scale = 100.0 if percent(row.metric) else 1.0
    values = (row.difference, row.interval.low, row.interval.high)
    shown = [None if value is None else scale * value for value in values]
    return Difference(row.run, shown[0], shown[1], shown[2], sure=row.verdict in ("better", "worse"))


def _table(tested: Tested, found: Comparison) -> Table:
    columns = (
        Column("run", "run", numeric=False),
        Column("metric", "metric", numeric=False),
        Column(tested.protocol.axis, "condition", numeric=False),
        Column(found.baseline, "baseline"),
        Column("run's value", "value"),
        Column("difference", "difference"),
        Column("low", "low"),
        Column("high", "high"),
        Column("p, corrected", "p_corrected"),
        Column("effect size d", "d"),
        Column("verdict", "verdict", numeric=False),
    )
    groups = tuple(
        tuple(_cells(row) for row in found.of(run, metric)) for run in found.runs for metric in found.metrics
    )
    notes = (
        "low and high bound the 95 % interval of the difference. threshold: the interval leaves zero out, but that "
        "of the AUC does not: samples are divided elsewhere, and not shown to be told apart better.",
        "*: zero is outside the interval, but among so many comparisons that is no evidence.",
    )
    caption = f"All comparisons with {found.baseline}, protocol {tested.protocol.name}"
    return Table(f"comparison-{tested.protocol.name}", caption, columns, groups, notes, folded=True)


def _cells(row: Row) -> Cells:
    values = (row.baseline, row.value, row.difference, row.interval.low, row.interval.high)
    numbers = [None if value is None else Measured(value, percent=percent(row.metric)) for value in values]
    p = None if row.corrected is None else Measured(row.corrected)
    d = None if row.d is None else Measured(row.d, decimals=2)
    return (row.run, heading(row.metric), row.condition, *numbers, p, d, compare_tables.verdict(row))
