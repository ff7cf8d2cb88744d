"""Small multiples of lines with bands: curves over missing rates, and losses over epochs."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mmsa_core.report.drawing import style

Values = NDArray[np.float64]
PANEL = (2.9, 2.35)
"""Inches."""


@dataclass(frozen=True)
class Series:
    """One line: NaN leaves a gap. `low` and `high` bound its band; `single` are thin lines."""

    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    single: tuple[tuple[Values, Values], ...] = ()


@dataclass(frozen=True)
class Panel:
    """Lines by name, and horizontal lines of predictors that look at nothing."""

    title: str
    xlabel: str
    ylabel: str
    series: Mapping[str, Series]
    levels: Mapping[str, float] = field(default_factory=dict)
    zero: bool = False
    """Whether zero means something here and gets a line."""
    whole: bool = False
    """Whether x are whole numbers."""


def panels(found: Sequence[Panel], names: Sequence[str], columns: int = 3, markers: bool = True) -> Figure:
    """A panel for each quantity, all with the same look for the same name, one legend for all."""
    columns = min(columns, len(found))
    rows = -(-len(found) // columns)
    width = max(PANEL[0] * columns, 4.2)
    used = [name for name in names if any(name in panel.series for panel in found)]
    levels = list(dict.fromkeys(level for panel in found for level in panel.levels))
    legend = style.Legend.of([*used, *levels], width)
    figure = Figure(figsize=(width, PANEL[1] * rows + legend.height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    looks = {name: style.line(number) for number, name in enumerate(names)}
    grey = {level: style.LINES[(2 + n) % len(style.LINES)] for n, level in enumerate(levels)}
    for each, panel in zip(axes, found, strict=False):
        _panel(each, panel, looks, grey, markers)
    for each in axes[len(found) :]:
        each.set_axis_off()
    handles = [Line2D([], [], **_shown(looks[name], markers)) for name in used]
    handles += [Line2D([], [], color=style.GREY, linestyle=grey[level], linewidth=1) for level in levels]
    legend.draw(figure, handles)
    return figure


def _panel(axes: Axes, panel: Panel, looks: Mapping[str, Any], grey: Mapping[str, Any], markers: bool) -> None:
    if panel.zero:
        axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    for level, value in panel.levels.items():
        axes.axhline(value, color=style.GREY, linestyle=grey[level], linewidth=1, zorder=1)
    x = np.concatenate([series.x for series in panel.series.values()])
    margin = 0.04 * (x.max() - x.min() or 1.0)
    beyond = max([x.max(), *(more.max() for each in panel.series.values() for more, _ in each.single)])
    axes.set_xlim(x.min() - margin, beyond + margin)  # also where a metric is undefined
    for name, series in panel.series.items():
        colour = looks[name]["color"]
        for x, y in series.single:
            axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.55)
        if series.low is not None and series.high is not None:
            axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(series.x, series.y, **_shown(looks[name], markers))
    if panel.title:
        axes.set_title(textwrap.fill(panel.title, 34), loc="left")
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(textwrap.fill(panel.ylabel, 24))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=panel.whole))


def _shown(look: Mapping[str, Any], markers: bool) -> dict[str, Any]:
    return dict(look) if markers else {key: value for key, value in look.items() if key != "marker"}
