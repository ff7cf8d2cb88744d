"""Pictures of features: which modalities samples have, and the scale of the columns."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mmsa_core.inspection import wording
from mmsa_core.inspection.bars import COLOURS, style
from mmsa_core.inspection.facts import Facts

FAR = 20
"""Largest against smallest, from which on a logarithmic scale shows more."""


def missing(title: str, facts: Facts) -> Figure:
    """Patterns in rows, modalities in columns (filled: present), and how many rows of each split have it."""
    patterns, names = wording.all_patterns(facts), list(facts.rows)
    columns = len(facts.modalities) + len(names)
    figure = Figure(figsize=(1.2 + 1.05 * columns, 1.3 + 0.45 * len(patterns)), layout="constrained")
    axes = figure.add_subplot()
    for row, pattern in enumerate(patterns):
        for column, modality in enumerate(facts.modalities):
            has = modality in pattern
            axes.scatter(column, row, s=130, marker="s", facecolor=COLOURS[0] if has else "white", edgecolor="black")
        for column, name in enumerate(names, start=len(facts.modalities)):
            count = facts.patterns[name].get(pattern, 0)
            axes.text(
                column,
                row,
                wording.percent(count, facts.rows[name]) if count else "–",
                ha="center",
                va="center",
                fontsize=9,
            )
    axes.set_xticks(range(columns), [*facts.modalities, *(f"{n}\n{facts.rows[n]} rows" for n in names)])
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(len(patterns) - 0.5, -0.5)
    axes.axvline(len(facts.modalities) - 0.5, color="grey", linewidth=0.8)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.suptitle(f"{title}: which modalities samples have\n(filled: present, empty: missing)", fontsize=11)
    return figure


def scale(title: str, facts: Facts) -> Figure | None:
    """The columns' standard deviations as boxes from smallest to largest, by modality and split."""
    boxes = []
    for modality in facts.modalities:
        for position, (name, each) in enumerate(facts.features.items()):
            if modality in each and each[modality].deviations:
                boxes.append((modality, name, position, each[modality]))
    if not boxes:
        return None
    figure = Figure(figsize=(1.6 + 0.8 * len(boxes), 4.0), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, _, position, found) in enumerate(boxes):
        low, first, middle, third, high = found.deviations
        stats: dict[str, Any] = {"whislo": low, "q1": first, "med": middle, "q3": third, "whishi": high, "fliers": []}
        colour, hatch = style(position)
        look = {"facecolor": colour, "hatch": hatch, "edgecolor": "black", "alpha": 0.85}
        axes.bxp(
            [stats],
            positions=[place],
            widths=0.6,
            patch_artist=True,
            boxprops=look,
            medianprops={"color": "black", "linewidth": 2},
        )
    ends = [found.deviations[end] for *_, found in boxes for end in (0, -1)]
    if max(ends) > FAR * min(ends):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    constant = [f"\n{len(found.constant)} const." if found.constant else "" for *_, found in boxes]
    shown = [f"{modality}\n{name}{more}" for (modality, name, *_), more in zip(boxes, constant, strict=True)]
    axes.set_xticks(range(len(boxes)), shown, fontsize=8)
    axes.set_ylabel("standard deviation of a column\n(smallest, quartiles, largest;\nconstant columns left out)")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.suptitle(f"{title}: scale of the features", fontsize=11)
    return figure
