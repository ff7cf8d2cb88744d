"""Pictures for papers and screens, drawn without a display: the heat map of who teaches whom."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmsa_core.run_folder import checkpoint
from mmsa_core.types import Modality

Weights = Mapping[tuple[Modality, Modality], float]
COLOURS = colormaps["cividis"]
"""Equal steps look equal, also to the colour-blind and in grey print."""
CELL = 0.85
"""Inches."""


def heat_map(path: Path, title: str, modalities: Sequence[Modality], weights: Weights) -> None:
    """Write the heat map of the `weights` of (student, teacher), in one piece."""
    checkpoint.write_bytes(path, png(title, modalities, weights))


def png(title: str, modalities: Sequence[Modality], weights: Weights) -> bytes:
    """The heat map as a file; equal values make equal bytes."""
    written = io.BytesIO()
    drawn(title, modalities, weights).savefig(written, format="png", dpi=150, metadata={"Software": None})
    return written.getvalue()


def drawn(title: str, modalities: Sequence[Modality], weights: Weights) -> Figure:
    """The heat map: students in rows, teachers in columns, each value in its cell.

    The diagonal is blank; a pair without a value has a dash. Colours begin at zero, so that a small
    difference does not look like a large one.
    """
    values = np.array([[weights.get((s, t), np.nan) for t in modalities] for s in modalities])
    np.fill_diagonal(values, np.nan)
    known = values[np.isfinite(values)].tolist()
    norm = Normalize(min([0.0, *known]), max([0.0, *known]) or 1.0)
    margin = 0.1 * max(map(len, modalities))
    width = CELL * len(modalities) + margin + 2.0
    figure = Figure(figsize=(width, CELL * len(modalities) + 0.7 * margin + 1.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap=COLOURS, norm=norm)
    _name_axes(axes, modalities)
    _write_values(axes, values, norm)
    figure.colorbar(image, ax=axes, shrink=0.9, label="weight")
    figure.suptitle("\n".join(textwrap.fill(line, int(11 * width)) for line in title.splitlines()), fontsize=11)
    return figure


def _name_axes(axes: Axes, modalities: Sequence[Modality]) -> None:
    turned: dict[str, Any] = {}
    if max(map(len, modalities)) > 8:
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    places = range(len(modalities))
    axes.set_xticks(places, modalities, **turned)
    axes.set_yticks(places, modalities)
    axes.set_xlabel("teacher")
    axes.set_ylabel("student (learns)")
    borders = [place + 0.5 for place in places[:-1]]
    axes.set_xticks(borders, minor=True)
    axes.set_yticks(borders, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)


def _write_values(axes: Axes, values: NDArray[np.float64], norm: Normalize) -> None:
    for (row, column), value in np.ndenumerate(values):
        if row == column:
            continue
        text, colour = "–", "black"
        if np.isfinite(value):
            text = f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"
            red, green, blue, _ = COLOURS(norm(value))
            colour = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        axes.text(column, row, text, ha="center", va="center", color=colour)
