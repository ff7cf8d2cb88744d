"""The picture of a 2-D map: once by label, once by what is missing."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from mmsa_core.embedding.embedding import Map
from mmsa_core.tasks import BinaryLabels, ScoreTask, TaskBase

OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#F0E442")
"""Eight colours that the colour-blind tell apart (Okabe and Ito, 2008)."""
MARKERS = "osD^vPX*"
DIVERGING = "PuOr_r"
"""Orange and purple, which the colour-blind tell apart, through white, which the points' edges show."""
EDGE = "#444444"
SIZE = 14.0
PLACE = {"left": 0.06, "right": 0.99, "bottom": 0.24, "top": 0.88, "wspace": 0.06}
"""Where the two panels lie, in parts of the figure."""
BAR = (0.15, -0.2, 0.7, 0.035)
"""Where a colour bar lies, in parts of its panel."""

Chosen = NDArray[np.bool_]


def png(
    title: str, found: Map, condition: Sequence[str], ats: Mapping[str, float], task: TaskBase, target: Tensor
) -> bytes:
    """Equal points make equal bytes; `ats` are the missing rates of conditions that have one."""
    figure = Figure(figsize=(11.0, 7.4))
    left, right = figure.subplots(1, 2, sharex=True, sharey=True, gridspec_kw=PLACE)
    if isinstance(task, ScoreTask):
        _by_score(figure, left, found, target.numpy(), task.range)
    else:
        labels = categories(task, target)
        _by_kind(left, found, labels, "by label", sorted(set(labels)))
    if set(condition) <= set(ats) | {condition[0]} and len(set(condition)) > len(OKABE_ITO):
        _by_rate(figure, right, found, np.array([ats.get(name, 0.0) for name in condition]))
    else:
        _by_kind(right, found, condition, "by what is seen", list(dict.fromkeys(condition)))
    for axes in (left, right):
        axes.set_xlabel(found.axes[0])
        axes.set_box_aspect(1)
        axes.tick_params(labelsize=8)
    left.set_ylabel(found.axes[1])
    figure.suptitle(title, fontsize=11, y=0.98)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=150, metadata={"Software": None})
    return written.getvalue()


def categories(task: TaskBase, target: Tensor) -> list[str]:
    """The label of each row in words; of several binary labels those that hold, the rarer sets as `other`."""
    if not isinstance(task, BinaryLabels):
        return [f"class {label}" for label in target.tolist()]
    names = [
        "+".join(n for n, holds in zip(task.names, row, strict=True) if holds) or "none" for row in target.tolist()
    ]
    kept = {name for name, _ in Counter(names).most_common(len(OKABE_ITO) - 1)}
    return [name if name in kept else "other" for name in names]


def _by_score(figure: Figure, axes: Axes, found: Map, score: NDArray[np.float32], most: float) -> None:
    order = np.random.default_rng(0).permutation(len(score))  # no condition and no score lies on top of the others
    x, y = found.points[order].T
    drawn = axes.scatter(
        x, y, c=score[order], cmap=DIVERGING, vmin=-most, vmax=most, s=SIZE, edgecolors=EDGE, linewidths=0.25
    )
    axes.set_title("by score", fontsize=10)
    figure.colorbar(drawn, cax=axes.inset_axes(BAR), orientation="horizontal", label="score")


def _by_rate(figure: Figure, axes: Axes, found: Map, rate: NDArray[np.float64]) -> None:
    order = np.random.default_rng(0).permutation(len(rate))
    x, y = found.points[order].T
    drawn = axes.scatter(x, y, c=rate[order], cmap="cividis", s=SIZE, edgecolors="none")
    axes.set_title("by missing rate", fontsize=10)
    figure.colorbar(drawn, cax=axes.inset_axes(BAR), orientation="horizontal", label="missing rate")


def _by_kind(axes: Axes, found: Map, kind: Sequence[str], title: str, names: Sequence[str]) -> None:
    wide = colormaps["turbo"](np.linspace(0.05, 0.95, len(names)))
    colours = OKABE_ITO if len(names) <= len(OKABE_ITO) else tuple(to_hex(colour) for colour in wide)
    style = {name: (colours[i], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}
    rows = np.array(kind)
    for part in np.array_split(np.random.default_rng(0).permutation(len(rows)), 12):  # layers of all kinds
        for name, (colour, marker) in style.items():
            x, y = found.points[part[rows[part] == name]].T
            axes.scatter(x, y, c=colour, marker=marker, s=SIZE, edgecolors="white", linewidths=0.2)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=name)
        for name, (colour, marker) in style.items()
    ]
    axes.set_title(title, fontsize=10)
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, fontsize=8, frameon=False)
