"""Reliability diagrams: how often a prediction is right, against how sure it is; a panel for each run."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mmsa_core.report.drawing import style

Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
"""Mean confidence, share that is right, and count, of each bin; NaN in an empty bin."""


def diagrams(found: Mapping[str, Mapping[str, Curve]], columns: int = 3) -> Figure:
    """For each run one line for each kind of input; a marker's area goes with the share of predictions in its bin."""
    columns = min(columns, len(found))
    rows = -(-len(found) // columns)
    width = max(2.6 * columns, 3.4)
    kinds = list(dict.fromkeys(kind for curves in found.values() for kind in curves))
    legend = style.Legend.of([*kinds, "calibrated"], width)
    figure = Figure(figsize=(width, 2.75 * rows + legend.height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for each, (name, curves) in zip(axes, found.items(), strict=False):
        _panel(each, name, curves)
    for each in axes[len(found) :]:
        each.set_axis_off()
    handles = [Line2D([], [], **style.line(number)) for number, _ in enumerate(kinds)]
    handles.append(Line2D([], [], color=style.GREY, linewidth=0.9, linestyle="--"))
    legend.draw(figure, handles)
    return figure


def _panel(axes: Axes, name: str, curves: Mapping[str, Curve]) -> None:
    axes.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.9, linestyle="--", zorder=0)
    for number, (confidence, right, count) in enumerate(curves.values()):
        look = style.line(number)
        filled = count > 0
        axes.plot(confidence[filled], right[filled], color=look["color"], linestyle=look["linestyle"])
        area = 8 + 90 * count[filled] / max(int(count.sum()), 1)
        axes.scatter(
            confidence[filled],
            right[filled],
            s=area,
            color=look["color"],
            marker=look["marker"],
            clip_on=False,
            zorder=3,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_title(textwrap.fill(name, 34), loc="left")
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
