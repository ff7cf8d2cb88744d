"""Confusion matrices side by side: truth in rows, prediction in columns."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLOURS = colormaps["cividis"]
ACROSS = 4
"""Matrices beside each other."""
CELL = 0.34
"""Inches."""


@dataclass(frozen=True)
class Matrix:
    """Shares of each row [truth, prediction]; a class that does not occur is a row of NaN."""

    title: str
    classes: tuple[str, ...]
    shares: NDArray[np.float64]


def matrices(found: Sequence[Sequence[Matrix]]) -> Figure:
    """A column for each division into classes, beneath each other its matrices; wide rows are broken.

    Each share stands in percent in its cell; one scale of colours from 0 to 100 for all.
    """
    across = min(ACROSS, len(found))
    blocks = [found[start : start + across] for start in range(0, len(found), across)]
    sizes = [max(_size(each[place][0]) for each in blocks if place < len(each)) for place in range(across)]
    down = len(found[0])
    heights = [max(_size(matrix[0]) for matrix in block) + 0.2 for block in blocks for _ in range(down)]
    figure = Figure(figsize=(max(sum(sizes), 3.0), sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), across, squeeze=False, width_ratios=sizes, height_ratios=heights)
    for number, block in enumerate(blocks):
        for row in range(down):
            for column in range(across):
                each = axes[number * down + row, column]
                if column < len(block):
                    _matrix(each, block[column][row])
                else:
                    each.set_axis_off()
    return figure


def _size(matrix: Matrix) -> float:
    """Inches of one matrix with its names."""
    return CELL * max(len(matrix.classes), 4) + 0.065 * max(map(len, matrix.classes)) + 0.75


def _matrix(axes: Axes, matrix: Matrix) -> None:
    axes.imshow(matrix.shares, cmap=COLOURS, vmin=0, vmax=1)
    places = range(len(matrix.classes))
    turned = 0.075 * max(map(len, matrix.classes)) > CELL * max(4 / len(matrix.classes), 1)
    axes.set_xticks(
        places, matrix.classes, rotation=45 if turned else 0, ha="right" if turned else "center", fontsize=8
    )
    axes.set_yticks(places, matrix.classes, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(textwrap.fill(matrix.title, 26), fontsize=8.5)
    axes.set_xlabel("predicted", fontsize=8.5)
    axes.set_ylabel("truth", fontsize=8.5)
    for (row, column), share in np.ndenumerate(matrix.shares):
        known = np.isfinite(share)
        colour = "white" if known and share < 0.5 else "black"
        axes.text(
            column, row, f"{100 * share:.0f}" if known else "–", ha="center", va="center", color=colour, fontsize=7.5
        )
