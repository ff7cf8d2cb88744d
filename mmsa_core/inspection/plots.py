"""Pictures of a corpus: its labels, lengths, missing patterns and the scale of its features, as PNG."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from mmsa_core.errors import UserError
from mmsa_core.inspection import wording
from mmsa_core.inspection.bars import bars
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.plots_features import missing, scale
from mmsa_core.run_folder import checkpoint

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
    pictures: tuple[Callable[[str, Facts], Figure | None], ...] = (labels, lengths, missing, scale)
    written = []
    for name, picture in zip(NAMES, pictures, strict=True):
        # a $ in a name starts no formula, and a sign that the font lacks is a box, not a warning
        with rc_context({"text.parse_math": False}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")
            figure = picture(title, facts)
            if figure is None:
                continue
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
