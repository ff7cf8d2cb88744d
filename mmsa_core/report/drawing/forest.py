"""Differences with their intervals, about the line where there is none."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmsa_core.report.drawing import style


@dataclass(frozen=True)
class Difference:
    """One run's difference; None where it is undefined. `sure`: it is more than chance explains."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    sure: bool


@dataclass(frozen=True)
class Forest:
    """One panel."""

    title: str
    xlabel: str
    rows: Sequence[Difference]


def forests(found: Sequence[Forest], columns: int) -> Figure:
    """Panels in rows of `columns`, a line for each run; sure differences are filled, others open."""
    columns = min(columns, len(found))
    down = -(-len(found) // columns)
    names = [textwrap.fill(row.name, 30) for row in found[0].rows]
    lines = sum(name.count("\n") + 1 for name in names)
    margin = 0.075 * max(len(line) for name in names for line in name.splitlines())
    size = (2.45 * columns + margin, (0.24 * lines + 1.0) * down)
    figure = Figure(figsize=(max(size[0], 3.4), size[1]), layout="constrained")
    axes = figure.subplots(down, columns, squeeze=False, sharey=True)
    for place, each in enumerate(axes.flat):
        if place < len(found):
            _panel(each, found[place])
        else:
            each.set_axis_off()
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _panel(axes: Axes, panel: Forest) -> None:
    axes.axvline(0, color="#888888", linewidth=0.9, zorder=0)
    for place, row in enumerate(panel.rows):
        if row.value is None or row.low is None or row.high is None:
            axes.annotate(
                "undefined", (0, place), ha="left", va="center", fontsize=7.5, xytext=(3, 0), textcoords="offset points"
            )
            continue
        colour = style.COLOURS[0] if row.sure else style.GREY
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.5, solid_capstyle="butt")
        filled = colour if row.sure else "white"
        axes.plot(row.value, place, marker="o", color=colour, markerfacecolor=filled, markersize=5, linestyle="none")
    axes.set_title(textwrap.fill(panel.title, 30), loc="left")
    axes.set_xlabel(textwrap.fill(panel.xlabel, 30))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
