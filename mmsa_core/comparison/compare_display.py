"""Comparisons as tables for a terminal."""

from rich.box import SIMPLE
from rich.table import Table

from mmsa_core.comparison.compare import Comparison, Row
from mmsa_core.comparison.compare_tables import RATES, basis, cautions, conclusions, signed, span, verdict
from mmsa_core.display import Display, number, scale_of
from mmsa_core.statistics.comparison import LEVEL


def show(found: Comparison, display: Display) -> None:
    """Print a table for each run and metric, what follows from them, and what they rest on."""
    protocol = found.first.protocol
    against = f"{', '.join(found.runs)} against {found.baseline}"
    display.console.print(f"protocol {protocol.name}, {found.first.split_name} split: {against}", highlight=False)
    for run in found.runs:
        for metric in found.metrics:
            if not metric.endswith(RATES):  # it stands beside the metrics that it belongs to
                display.console.print(_table(found, run, metric))
    for sentence in (*conclusions(found), *basis(found)):
        display.console.print(sentence, highlight=False, markup=False, soft_wrap=not display.console.is_terminal)
    for sentence in cautions(found):
        display.warn(sentence)


def _table(found: Comparison, run: str, metric: str) -> Table:
    scale = scale_of(metric)
    rate = next((name for name in found.first.task.beside(metric) if name.endswith(RATES)), None)
    table = Table(box=SIMPLE, pad_edge=False, title_justify="left", title_style="bold")
    table.title = f"{run} against {found.baseline}: {metric}{'' if scale == 1 else ', %'}"
    table.add_column(found.first.protocol.axis, no_wrap=True)
    for heading in (found.baseline, run, "difference", f"{100 * (1 - LEVEL):g} % interval", "p", "d"):
        table.add_column(heading, justify="right", no_wrap="%" in heading)
    if rate:
        table.add_column("positive", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    rates = {row.condition: row for row in found.of(run, rate)} if rate else {}
    rows = found.of(run, metric)
    for family in ("conditions", "averages"):
        for row in (each for each in rows if each.family == family):
            beside = rates.get(row.condition)
            positive = [f"{_share(beside.baseline)} / {_share(beside.value)}"] if beside else []
            table.add_row(row.condition, *_cells(row, scale), *positive, verdict(row))
        table.add_section()
    for name, values in found.references.items():
        value = number(values.get(metric.removesuffix("_tuned")), scale)  # what is constant has no threshold
        positive = [_share(values.get(rate.removesuffix("_tuned")))] if rate else []
        table.add_row(name, value, "", "", "", "", "", *positive)
    return table


def _cells(row: Row, scale: float) -> list[str]:
    difference = "" if row.difference is None else signed(row.difference, scale)
    p = "" if row.corrected is None else _p(row.corrected)
    d = "" if row.d is None else f"{row.d:+.2f}".replace("-", "−")
    return [number(row.baseline, scale), number(row.value, scale), difference, span(row, scale), p, d]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _share(value: float | None) -> str:
    return number(value, 100.0)
