"""How splits look in every picture, and bars side by side. Legible in grey print and to the colour-blind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#F0E442")
"""Okabe and Ito's, which the colour-blind tell apart; hatches tell them apart in grey."""
HATCHES = ("", "///", "...", "xxx", "---")


def bars(
    axes: Axes, names: Sequence[str], shares: Mapping[str, Sequence[float]], rows: Mapping[str, int], room: float
) -> None:
    """Bars side by side: a group for each name, a bar for each split, in the colour that it has in every picture.

    A name longer than `room` letters is turned.
    """
    width, order = 0.8 / len(shares), list(rows)
    for place, (split, values) in enumerate(shares.items()):
        at = np.arange(len(names)) + (place - (len(shares) - 1) / 2) * width
        colour, hatch = style(order.index(split))
        label = f"{split} ({rows[split]})"
        axes.bar(at, values, width, label=label, color=colour, hatch=hatch, edgecolor="black", linewidth=0.6)
    turned: dict[str, Any] = (
        {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > room else {}
    )
    axes.set_xticks(range(len(names)), names, fontsize=8, **turned)
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.margins(y=0.25)
    axes.legend(fontsize=8, frameon=False, ncols=len(shares), loc="upper center", columnspacing=1.0, handlelength=1.4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def style(position: int) -> tuple[str, str]:
    """Colour and hatch of the split at a position."""
    return COLOURS[position % len(COLOURS)], HATCHES[position % len(HATCHES)]
