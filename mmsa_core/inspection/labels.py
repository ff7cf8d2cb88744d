"""Facts on targets: a histogram of scores, counts of classes, positives of each binary label."""

from dataclasses import dataclass

import numpy as np

from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus
from mmsa_core.inspection.blocks import Array

CLASSES = 1000
"""Class numbers that are counted; a trap speaks of larger ones."""


@dataclass(frozen=True)
class Scores:
    """Scores of one split."""

    lowest: float | None
    mean: float | None
    highest: float | None
    negative: int
    zero: int
    positive: int
    nonfinite: int
    counts: tuple[int, ...]
    """In the bins between `Targets.edges`."""


@dataclass(frozen=True)
class Targets:
    """What the splits have to learn from; empty where they have none."""

    edges: tuple[float, ...]
    scores: dict[str, Scores]
    names: tuple[str, ...]
    """Of the classes of `label`."""
    classes: dict[str, tuple[int, ...]]
    """Rows of each class, by split."""
    label_names: tuple[str, ...]
    positives: dict[str, tuple[int, ...]]
    """Rows in which each binary label is 1, by split."""


def targets(corpus: Corpus) -> Targets:
    """Facts on every target of every split."""
    scores = {n: s.targets[SCORE].cpu().numpy() for n, s in corpus.splits.items() if SCORE in s.targets}
    label = {n: s.targets[LABEL].cpu().numpy() for n, s in corpus.splits.items() if LABEL in s.targets}
    labels = {n: s.targets[LABELS].cpu().numpy() for n, s in corpus.splits.items() if LABELS in s.targets}
    edges = bins(np.concatenate([np.zeros(0, dtype=np.float32), *scores.values()]))
    count = min(CLASSES, max((int(values.max()) + 1 for values in label.values() if len(values)), default=0))
    width = max((values.shape[1] for values in labels.values()), default=0)
    return Targets(
        edges=edges,
        scores={name: scored(values, edges) for name, values in scores.items()},
        names=named(corpus.names.get(LABEL, ()), count, "class"),
        classes={
            n: tuple(np.bincount(v[(v >= 0) & (v < CLASSES)], minlength=count).tolist()) for n, v in label.items()
        },
        label_names=named(corpus.names.get(LABELS, ()), width, "label"),
        positives={n: tuple((v == 1).sum(axis=0).tolist()) for n, v in labels.items()},
    )


def scored(values: Array, edges: tuple[float, ...]) -> Scores:
    """The facts of one split's scores."""
    finite = values[np.isfinite(values)].astype(np.float64)
    lowest, mean, highest = (
        (float(finite.min()), float(finite.mean()), float(finite.max())) if len(finite) else (None,) * 3
    )
    return Scores(
        lowest,
        mean,
        highest,
        negative=int((finite < 0).sum()),
        zero=int((finite == 0).sum()),
        positive=int((finite > 0).sum()),
        nonfinite=len(values) - len(finite),
        counts=tuple(np.histogram(finite, edges)[0].tolist()) if edges else (),
    )


def bins(values: Array) -> tuple[float, ...]:
    """Edges of a histogram: MOSI's seven classes in -3 to 3, SIMS' five in -1 to 1, else eight equal bins."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ()
    low, high = float(finite.min()), float(finite.max())
    if -1 <= low < 0 and high <= 1:
        return (-1.0, -0.7, -0.1, 0.1, 0.7, 1.0)
    if -3 <= low < 0 and high <= 3:
        return tuple(float(edge) for edge in np.arange(-3.5, 4))
    return tuple(float(edge) for edge in np.histogram_bin_edges(finite, 8))


def named(names: tuple[str, ...], count: int, what: str) -> tuple[str, ...]:
    """The names that the data give, and numbers for the others."""
    return tuple(names[n] if n < len(names) else f"{what} {n}" for n in range(count))
