"""Predicted scores against true ones, a panel for each run."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mmsa_core.report.drawing import style

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Truth and prediction."""


def scatter(found: Mapping[str, Points], extent: float, columns: int = 3) -> Figure:
    """Square panels from -extent to extent, with zero lines and the line where a prediction is right."""
    columns = min(columns, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(max(2.6 * columns, 3.2), 2.75 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    beyond = max([extent, *(float(np.abs(y).max()) for _, y in found.values() if y.size)]) * 1.04
    for each, (name, (truth, predicted)) in zip(axes, found.items(), strict=False):
        each.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        each.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        each.plot([-beyond, beyond], [-beyond, beyond], color=style.GREY, linewidth=0.9, linestyle="--", zorder=1)
        each.plot(
            truth,
            predicted,
            marker="o",
            linestyle="none",
            markersize=3,
            markeredgewidth=0,
            alpha=0.45,
            color=style.COLOURS[0],
            rasterized=True,  # thousands of points are no lines for a printer
        )
        each.set(xlim=(-beyond, beyond), ylim=(-beyond, beyond), aspect="equal")
        each.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        each.yaxis.set_major_locator(MaxNLocator(7, integer=True))
        each.set_title(textwrap.fill(name, 34), loc="left")
        each.set_xlabel("true score")
        each.set_ylabel("predicted score")
    for each in axes[len(found) :]:
        each.set_axis_off()
    return figure
