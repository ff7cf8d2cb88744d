"""The figures of a sweep: which keys mattered, and which values the trials had."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mmsa_core.report.drawing import style
from mmsa_core.report.drawing.style import Rendered
from mmsa_core.sweeps.space import Categorical, Dimension, Scalar, label
from mmsa_core.sweeps.sweep import Sweep

MAP = "cividis"
LONGEST = 24
"""Letters of a key or choice."""


def importance(found: Mapping[str, float], sweep: Sweep) -> Rendered:
    """A bar for each key, the most important one on top."""

    def draw() -> Figure:
        figure = Figure(figsize=(6.4, 1.2 + 0.34 * len(found)), layout="constrained")
        axes = figure.subplots()
        names = list(found)[::-1]
        bars = axes.barh([_cut(name) for name in names], [found[name] for name in names], color=style.COLOURS[0])
        axes.bar_label(bars, [f"{found[name]:.2f}" for name in names], padding=3)
        axes.set_xlim(0, max(found.values()) * 1.12)
        axes.set_xlabel(f"share of the variance of {sweep.objective.metric} over trials (fANOVA)")
        axes.set_title(f"{sweep.name}: what mattered", loc="left")
        return figure

    return style.render(draw)


def parallel(trials: Sequence[Any], sweep: Sweep) -> Rendered:
    """A line for each trial that was trained to its end, through its values; the best ones lie on top."""

    def draw() -> Figure:
        space = sweep.space
        figure = Figure(figsize=(2.2 + 1.6 * (len(space) + 1), 4.2), layout="constrained")
        axes = figure.subplots()
        values = np.array([each.value for each in trials])
        low, high = float(values.min()), float(values.max())
        span = high - low or 1.0
        colour = Normalize(low, high)
        shades = colormaps[MAP if sweep.objective.minimised else f"{MAP}_r"]  # good trials are dark
        for rank in range(len(trials) - 1, -1, -1):  # trials come best first
            each = trials[rank]
            heights = [(each.value - low) / span, *(_height(d, each.params[k]) for k, d in space.items())]
            shade = style.COLOURS[1] if rank == 0 else shades(colour(each.value))
            axes.plot(heights, color=shade, linewidth=2.6 if rank == 0 else 1.2, alpha=1.0 if rank == 0 else 0.75)
        axes.set_xlim(-0.05, len(space) + 0.05)
        axes.set_ylim(-0.04, 1.04)
        axes.set_xticks(range(len(space) + 1), [sweep.objective.metric, *map(_cut, space)], rotation=20, ha="right")
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        _scale(axes, 0, {0.0: f"{low:.4g}", 1.0: f"{high:.4g}"} if high > low else {0.0: f"{low:.4g}"})
        for place, dimension in enumerate(space.values(), start=1):
            _scale(axes, place, _ticks(dimension))
        axes.set_title(f"{sweep.name}: {len(trials)} trials, the chosen one in orange", loc="left")
        figure.colorbar(ScalarMappable(colour, shades), ax=axes, label=sweep.objective.metric, fraction=0.04)
        return figure

    return style.render(draw)


def _scale(axes: Axes, place: int, ticks: Mapping[float, str]) -> None:
    axes.axvline(place, color=style.GREY, linewidth=0.8, zorder=0)
    for height, text in ticks.items():
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
        axes.text(place + 0.03, height, text, fontsize=7.5, va="center", bbox=box, zorder=5)


def _height(dimension: Dimension, value: Scalar) -> float:
    """Where a value lies between the lowest (0) and the highest (1)."""
    if isinstance(dimension, Categorical):
        return [label(choice) for choice in dimension.choices].index(value) / (len(dimension.choices) - 1)
    assert isinstance(value, int | float)
    if dimension.log:
        return log10(value / dimension.low) / log10(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)


def _ticks(dimension: Dimension) -> dict[float, str]:
    if isinstance(dimension, Categorical):
        names = [_cut(str(label(choice))) for choice in dimension.choices]
        return {position / (len(names) - 1): name for position, name in enumerate(names)}
    middle = (dimension.low * dimension.high) ** 0.5 if dimension.log else (dimension.low + dimension.high) / 2
    return {0.0: f"{dimension.low:.3g}", 0.5: f"{middle:.3g}", 1.0: f"{dimension.high:.3g}"}


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"...{name[-LONGEST + 3 :]}"
