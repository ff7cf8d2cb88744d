"""How well one modality alone predicts the target, inside training and beyond it: a ridge regression on means.

Features that were fitted on labels (by a network that somebody trained on the training split) give the label
away in every training video, so that a probe does well on training videos that it has not seen,
and loses it on other splits. A probe's fit to its own samples says nothing of that: wide features of
few samples are fitted perfectly, whatever they are. So what is compared is cross-validation
inside the training split, by video, with valid and test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, KFold

from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus, Split
from mmsa_core.inspection.blocks import Array, pooled, present, tokens
from mmsa_core.inspection.labels import CLASSES
from mmsa_core.inspection.shared import group
from mmsa_core.types import Modality

FOLDS = 5
FEWEST_TRAIN, FEWEST_HELD = 60, 20
"""Rows below which a correlation says too little."""
MOST = 2000
"""Training rows that are looked at: enough for a correlation, and quick."""
ALPHAS = tuple(10.0**power for power in range(6))
LARGEST = 10.0
"""Standard deviations at which a feature is cut: one absurd value decides no regression."""


@dataclass(frozen=True)
class Probe:
    """Correlations of prediction and target (of several classes or labels: their mean)."""

    target: str
    rows: int
    by_video: bool
    """Whether folds were made of whole videos."""
    in_sample: float
    cross_validated: float
    held_out: Mapping[str, tuple[int, float]]
    """Rows and correlation of each other split."""


def probe(corpus: Corpus, modality: Modality, train: str = "train") -> Probe | None:
    """The probe of one modality; None where there is too little to say anything."""
    if train not in corpus.splits:
        return None
    target = next((t for t in (SCORE, LABEL, LABELS) if t in corpus.splits[train].targets), None)
    if target is None or modality not in corpus.splits[train].features:
        return None
    split = corpus.splits[train]
    if tokens(split, modality):
        return None
    rows = np.nonzero(present(split, modality) & _usable(split, target))[0]
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST])
    if len(rows) < FEWEST_TRAIN:
        return None
    classes = int(split.targets[LABEL].max()) + 1 if target == LABEL else 0
    if classes > CLASSES:
        return None
    x, y = pooled(split, modality)[rows].astype(np.float64), _columns(split, target, classes)[rows]
    centre, spread = x.mean(axis=0), x.std(axis=0)

    def scaled(values: Array) -> Array:
        moved = (values - centre) / np.where(spread > 0, spread, 1)
        return np.clip(np.where(spread > 0, moved, 0), -LARGEST, LARGEST)

    x = scaled(x)
    videos = [group(split.ids[row]) for row in rows]
    by_video = None not in videos and FOLDS <= len(set(videos)) < len(rows)
    folds = GroupKFold(FOLDS) if by_video else KFold(FOLDS, shuffle=True, random_state=0)
    guessed = np.zeros_like(y)
    for kept, left in folds.split(x, groups=videos if by_video else None):
        guessed[left] = RidgeCV(ALPHAS).fit(x[kept], y[kept]).predict(x[left]).reshape(len(left), -1)
    whole = RidgeCV(ALPHAS).fit(x, y)
    held = {}
    for name, other in corpus.splits.items():
        if name == train or target not in other.targets or modality not in other.features:
            continue
        at = present(other, modality) & _usable(other, target)
        if int(at.sum()) >= FEWEST_HELD:
            answer = whole.predict(scaled(pooled(other, modality)[at])).reshape(int(at.sum()), -1)
            held[name] = (int(at.sum()), correlation(answer, _columns(other, target, classes)[at]))
    in_sample = correlation(whole.predict(x).reshape(len(x), -1), y)
    return Probe(target, len(rows), by_video, in_sample, correlation(guessed, y), held)


def correlation(guessed: Array, target: Array) -> float:
    """The mean over columns that vary; where a guess does not vary it is zero."""
    found = [
        float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 else 0.0
        for a, b in zip(guessed.T, target.T, strict=True)
        if b.std() > 0
    ]
    return float(np.mean(found)) if found else 0.0


def _usable(split: Split, target: str) -> Array:
    values = split.targets[target].cpu().numpy().reshape(len(split), -1)
    found: Array = np.isfinite(values).all(axis=1) & ((values >= 0).all(axis=1) | (target == SCORE))
    return found


def _columns(split: Split, target: str, classes: int) -> Array:
    """The target as columns of numbers; a class as one column for each."""
    values = split.targets[target].cpu().numpy()
    if target == LABEL:
        columns: Array = (values[:, None] == np.arange(classes)).astype(np.float64)
        return columns
    return np.asarray(values.reshape(len(values), -1), dtype=np.float64)
