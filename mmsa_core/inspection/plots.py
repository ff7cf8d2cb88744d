"""Pictures of a corpus: labels, lengths, missing patterns, scale of the features. Legible in grey print."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmsa_core import checkpoint
from mmsa_core.errors import UserError
from mmsa_core.inspection import wording
from mmsa_core.inspection.facts import Facts

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#F0E442")
"""Okabe and Ito's, which the colour-blind tell apart; hatches tell them apart in grey."""
HATCHES = ("", "///", "...", "xxx", "---")
NAMES = ("labels.png", "lengths.png", "missing.png", "scale.png")
LENGTH_BINS = 12


def check(folder: Path) -> None:
    """Refuse, before anything is computed, a folder in which a picture would be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--plot {folder}: is a file; name a folder")
    if there := [name for name in NAMES if (folder / name).exists()]:
        raise UserError(f"--plot {folder}: has {', '.join(there)}, and nothing is overwritten; name a new folder")


def draw(folder: Path, title: str, facts: Facts) -> list[Path]:
    """Write every picture for which there is something to show."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = zip(
        NAMES, (labels(title, facts), lengths(title, facts), missing(title, facts), scale(title, facts)), strict=True
    )
    written = []
    for name, figure in figures:
        if figure is not None:
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
            checkpoint.write_bytes(folder / name, content.getvalue())
            written.append(folder / name)
    return written


def labels(title: str, facts: Facts) -> Figure | None:
    """The share of each score, class and true label in each split."""
    targets = facts.targets
    panels = [
        ("score", wording.bin_names(targets), {n: s.counts for n, s in targets.scores.items()}, None),
        ("class", targets.names, targets.classes, None),
        ("label that is true", targets.label_names, targets.positives, facts.rows),
    ]
    panels = [panel for panel in panels if panel[2] and panel[1]]
    if not panels:
        return None
    figure = Figure(figsize=(max(4.5, 1.2 + sum(0.75 * len(p[1]) + 0.8 for p in panels)), 3.6), layout="constrained")
    widths = [len(panel[1]) + 1 for panel in panels]
    for axes, (what, names, counts, of) in zip(
        figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0], panels, strict=True
    ):
        totals = {n: (of[n] if of else sum(c)) or 1 for n, c in counts.items()}
        shares = {name: [c / totals[name] for c in each] for name, each in counts.items()}
        bars(axes, names, shares, facts.rows, room=9)
        axes.set_xlabel(what)
        axes.set_ylabel("share of the split's rows")
    figure.suptitle(f"{title}: labels by split", fontsize=11)
    return figure


def lengths(title: str, facts: Facts) -> Figure | None:
    """Histograms of the sequences' lengths, a panel for each modality."""
    known = {
        m: {n: each[m].lengths for n, each in facts.features.items() if m in each and each[m].lengths}
        for m in facts.modalities
    }
    known = {modality: each for modality, each in known.items() if each}
    if not known:
        return None
    figure = Figure(figsize=(4.2 * len(known), 3.6), layout="constrained")
    for axes, (modality, each) in zip(figure.subplots(1, len(known), squeeze=False)[0], known.items(), strict=True):
        found = {name: np.array(length.all) for name, length in each.items() if length}
        longest = max(length.longest for length in each.values() if length)
        edges = length_edges(min(length.shortest for length in each.values() if length), longest)
        ends = [min(end - 1, longest) for end in edges[1:]]
        shown = [f"{a}" if a == b else f"{a}–{b}" for a, b in zip(edges, ends, strict=False)]
        shares = {n: (np.histogram(x, edges)[0] / len(x)).tolist() for n, x in found.items()}
        rows = {name: len(found.get(name, ())) for name in facts.rows}
        bars(axes, shown, shares, rows, room=44 / len(shown))
        axes.set_title(modality, fontsize=10)
        axes.set_xlabel("frames of a sequence")
        axes.set_ylabel("share of sequences")
    figure.suptitle(f"{title}: lengths", fontsize=11)
    return figure


def length_edges(shortest: int, longest: int) -> list[int]:
    """Whole numbers between which lengths are counted; the last bin ends beyond the longest."""
    step = -(-(longest - shortest + 1) // LENGTH_BINS)
    return list(range(shortest, longest + step + 1, step))


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
    axes.set_yscale("log")
    constant = [f"\n{len(found.constant)} const." if found.constant else "" for *_, found in boxes]
    shown = [f"{modality}\n{name}{more}" for (modality, name, *_), more in zip(boxes, constant, strict=True)]
    axes.set_xticks(range(len(boxes)), shown, fontsize=8)
    axes.set_ylabel("standard deviation of a column\n(smallest, quartiles, largest;\nconstant columns left out)")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.suptitle(f"{title}: scale of the features", fontsize=11)
    return figure


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
