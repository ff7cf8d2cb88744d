"""The field's metrics, to the letter: numpy arrays in, plain floats out, None where a metric is undefined.

Definitions follow the published MetricsTop of MMSA (used by DMD, LNLN, EMT-DLFR and IMDer too) and
MulT's evaluation; the golden vectors hold the numbers. No metric is defined without samples, and
none for a model that has diverged (nan, inf or beyond `DIVERGED`).
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from mmsa_core.evaluation.measures import MeanOf, Measure, Paired, values
from mmsa_core.statistics import counted
from mmsa_core.statistics.counted import Array

Convention = Literal["mosi", "mosei", "sims"]
Report = dict[str, float | None]
Measures = dict[str, Measure]

THRESHOLDED = frozenset({"acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "acc2", "f1", "positive_rate"})
"""The metrics of a score that depend on the threshold between negative and positive."""

LOWER_IS_BETTER = frozenset({"mae"})

DIVERGED = 1e15
"""No metric for a prediction that reaches this: nan would pass for negative, inf for positive."""

SIMS_EDGES = {3: (-0.1, 0.1), 5: (-0.7, -0.1, 0.1, 0.7)}
"""Where SIMS divides scores into 3 and 5 bins, closed on the right."""


def sentiment(score: Array, label: Array, convention: Convention = "mosi", threshold: float = 0.0) -> Report:
    """Metrics of a sentiment score [N] under one data set's convention.

    `mosi`, `mosei`: Has0 is (score >= t) against (label >= 0); Non0 leaves out zero labels, then
    score > t against label > 0. acc5 and acc7 clip to +-2 and +-3 and round half to even; MAE is
    unclipped. `sims`: MAE, Corr and the accuracies clip both to +-1; acc2 and f1 are score > t
    against label > 0 over all samples. auc_non0 is threshold-free and unclipped, over nonzero labels;
    positive_rate says how many of the samples of Non0 (`sims`: of all samples) are called positive.
    """
    return values(sentiment_measures(score, label, convention, threshold))


def sentiment_measures(score: Array, label: Array, convention: Convention = "mosi", threshold: float = 0.0) -> Measures:
    """What `sentiment` reports, as measures."""
    score, label = _usable(score, label)
    return _sims(score, label, threshold) if convention == "sims" else _mosi(score, label, threshold)


def _mosi(score: Array, label: Array, threshold: float) -> Measures:
    decided = score.astype(np.float64)  # a threshold between two neighbouring float32 scores stays between them
    has0, truth_has0 = decided >= threshold, label >= 0
    kept, non0, truth_non0 = label != 0, decided > threshold, label > 0
    return {
        "mae": _mae(label, score),
        "corr": _corr(score, label),
        "acc2_has0": _acc(truth_has0, has0),
        "f1_has0": _f1(truth_has0, has0),
        "acc2_non0": _acc(truth_non0, non0, kept),
        "f1_non0": _f1(truth_non0, non0, kept),
        "auc_non0": _auc(truth_non0, score, kept),
        "acc5": _acc(np.round(label.clip(-2, 2)), np.round(score.clip(-2, 2))),
        "acc7": _acc(np.round(label.clip(-3, 3)), np.round(score.clip(-3, 3))),
        "positive_rate": _rate(non0, kept),
    }


def _sims(score: Array, label: Array, threshold: float) -> Measures:
    predicted, truth = score.astype(np.float64) > threshold, label > 0
    near, target = score.clip(-1, 1), label.clip(-1, 1)
    bins = {k: (_bins(target, edges), _bins(near, edges)) for k, edges in SIMS_EDGES.items()}
    return {
        "mae": _mae(target, near),
        "corr": _corr(near, target),
        "acc2": _acc(truth, predicted),
        "f1": _f1(truth, predicted),
        "acc3": _acc(*bins[3]),
        "acc5": _acc(*bins[5]),
        "auc_non0": _auc(truth, score, label != 0),
        "positive_rate": _rate(predicted),
    }


def best_threshold(score: Array, label: Array, convention: Convention = "mosi") -> float | None:
    """Find the threshold of highest f1_non0 (`sims`: f1); the one nearest 0 among equals, of two the lower.

    Candidates are the midpoints of neighbouring scores, one below all and one above all. None
    unless both classes occur. Counts below each candidate are cumulative sums: N log N in all.
    """
    score, label = _usable(score, label)
    kept = np.full(label.shape, True) if convention == "sims" else label != 0
    distinct, place = np.unique(score[kept].astype(np.float64), return_inverse=True)
    positive = label[kept] > 0
    p, n = int(positive.sum()), int((~positive).sum())
    if p == 0 or n == 0:
        return None
    middle = (distinct[:-1] + distinct[1:]) / 2
    middle = np.where(middle < distinct[1:], middle, distinct[:-1])  # neighbouring floats have no number between them
    candidates = np.concatenate([distinct[:1] - 1, middle, distinct[-1:] + 1])
    fn, tn = (np.append(0, np.bincount(place[who], minlength=len(distinct)).cumsum()) for who in (positive, ~positive))
    tp, fp = p - fn, n - tn
    f1 = (p * 2 * tp / (2 * tp + fp + fn) + n * 2 * tn / (2 * tn + fp + fn)) / (p + n)
    best = candidates[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best).argmin()])


def classes(probability: Array, label: Array) -> Report:
    """Metrics of one label out of K classes, from probabilities [N, K].

    f1 is weighted, f1_macro the plain mean over the classes that occur in truth or prediction. auc:
    the second class's for K = 2, else the mean of one-versus-rest over the classes present.
    """
    return values(classes_measures(probability, label))


def classes_measures(probability: Array, label: Array) -> Measures:
    """What `classes` reports, as measures."""
    probability, label = _usable(probability, label)
    predicted = probability.argmax(axis=1)
    tested = [1] if probability.shape[1] == 2 else range(probability.shape[1])
    return {
        "acc": _acc(label, predicted),
        "f1": _f1(label, predicted),
        "f1_macro": Paired(macro_f1, counted.macro_f1, label, predicted),
        "auc": MeanOf([_auc(label == k, probability[:, k]) for k in tested]),
    }


def sentiment_classes(score: Array, label: Array) -> Report:
    """MMSA's and DMD's two-class metrics of the classes negative, neutral, positive, from logits [N, 3].

    The prediction is the larger of the negative and the positive logit: neutral takes no part. Has0:
    against label positive, so that neutral counts as *negative* (a regression's Has0 counts zero as
    positive). Non0 leaves out neutral labels; there the published code compares truths 0 and 2 with
    predictions 0 and 1, so that a positive sample is never right: those numbers bear the suffix
    `_published`, ours compare positive with positive. positive_rate: over the samples of Non0.
    """
    return values(sentiment_classes_measures(score, label))


def sentiment_classes_measures(score: Array, label: Array) -> Measures:
    """What `sentiment_classes` reports, as measures."""
    score, label = _usable(score, label)
    predicted, truth, kept = score[:, 2] > score[:, 0], label == 2, label != 1
    return {
        "acc2_has0": _acc(truth, predicted),
        "f1_has0": _f1(truth, predicted),
        "acc2_non0": _acc(truth, predicted, kept),
        "f1_non0": _f1(truth, predicted, kept),
        "auc_non0": _auc(truth, score[:, 2].astype(np.float64) - score[:, 0], kept),
        "acc2_non0_published": _acc(label, predicted.astype(np.int64), kept),
        "f1_non0_published": _f1(label, predicted.astype(np.int64), kept),
        "positive_rate": _rate(predicted, kept),
    }


def binary_labels(logits: Array, labels: Array, names: Sequence[str]) -> Report:
    """MulT's IEMOCAP metrics: each label [N, L] a problem of its own, from two logits [N, L, 2].

    For each name acc, weighted f1, auc (of the difference of the logits) and positive_rate, then the
    means over the labels where they are defined.
    """
    return values(binary_labels_measures(logits, labels, names))


def binary_labels_measures(logits: Array, labels: Array, names: Sequence[str]) -> Measures:
    """What `binary_labels` reports, as measures."""
    logits, labels = _usable(logits, labels)
    predicted = logits.argmax(axis=2)
    margin = logits[..., 1].astype(np.float64) - logits[..., 0]
    found: Measures = {}
    for i, name in enumerate(names):
        found[f"{name}_acc"] = _acc(labels[:, i], predicted[:, i])
        found[f"{name}_f1"] = _f1(labels[:, i], predicted[:, i])
        found[f"{name}_auc"] = _auc(labels[:, i] == 1, margin[:, i])
        found[f"{name}_positive_rate"] = _rate(predicted[:, i])
    return found | {
        f"{kind}_mean": MeanOf([found[f"{name}_{kind}"] for name in names]) for kind in ("acc", "f1", "auc")
    }


def average(found: Sequence[Report]) -> Report:
    """The mean of each metric over conditions or draws; None if it is undefined in one of them."""
    columns = {name: [values[name] for values in found] for name in found[0]}
    return {
        name: None if None in column else fmean(v for v in column if v is not None) for name, column in columns.items()
    }


def accuracy(truth: Array, predicted: Array) -> float | None:
    """Share of samples where both are equal."""
    return _mean(truth == predicted)


def weighted_f1(truth: Array, predicted: Array) -> float | None:
    """F1 of each class, weighted by its share of the truth. Not symmetric: MulT's published score swaps the two."""
    return _averaged_f1(truth, predicted, "weighted")


def macro_f1(truth: Array, predicted: Array) -> float | None:
    """The plain mean of F1 over the classes that occur in truth or prediction."""
    return _averaged_f1(truth, predicted, "macro")


def auc(truth: Array, score: Array) -> float | None:
    """Area under the ROC curve, ties count half; None unless both classes occur."""
    return float(roc_auc_score(truth, score)) if 0 < np.count_nonzero(truth) < truth.size else None


def pearson(a: Array, b: Array) -> float | None:
    """Pearson's correlation; None for fewer than two samples or where either is constant."""
    if a.size < 2 or a.min() == a.max() or b.min() == b.max():
        return None
    x, y = (_direction(values.astype(np.float64)) for values in (a, b))
    return float(np.clip(x @ y, -1, 1))


def _direction(values: Array) -> Array:
    """Values about their mean, of length 1."""
    centred = values - values.mean()
    centred = centred / np.abs(centred).max()  # no square underflows
    centred = centred - centred.mean()  # the first mean was rounded, which counts where values hardly differ
    unit: Array = centred / np.linalg.norm(centred)
    return unit


def mean_absolute_error(truth: Array, predicted: Array) -> float | None:
    """Mean distance of both."""
    return _mean(np.abs(predicted - truth))


def _acc(truth: Array, predicted: Array, kept: Array | None = None) -> Measure:
    return Paired(accuracy, counted.accuracy, truth, predicted, kept)


def _f1(truth: Array, predicted: Array, kept: Array | None = None) -> Measure:
    return Paired(weighted_f1, counted.weighted_f1, truth, predicted, kept)


def _auc(truth: Array, score: Array, kept: Array | None = None) -> Measure:
    return Paired(auc, counted.auc, truth, score, kept)


def _rate(predicted: Array, kept: Array | None = None) -> Measure:
    """How many are called positive: the accuracy of a truth that is positive throughout."""
    return _acc(np.ones_like(predicted), predicted, kept)


def _mae(truth: Array, predicted: Array) -> Measure:
    return Paired(mean_absolute_error, counted.absolute_error, truth, predicted)


def _corr(a: Array, b: Array) -> Measure:
    return Paired(pearson, counted.pearson, a, b)


def _averaged_f1(truth: Array, predicted: Array, average: str) -> float | None:
    return float(f1_score(truth, predicted, average=average, zero_division=0.0)) if truth.size else None


def _bins(score: Array, edges: Sequence[float]) -> Array:
    """Place each score in its bin, closed on the right; in float32, where 0.1 read from a file equals the edge."""
    return np.searchsorted(np.asarray(edges, np.float32), score.astype(np.float32), side="left")


def _mean(values: Array) -> float | None:
    return float(values.mean()) if values.size else None


def _usable(predicted: Array, label: Array) -> tuple[Array, Array]:
    """Both as they are, or without samples where a prediction has diverged."""
    finite = (np.abs(predicted.astype(np.float64)) < DIVERGED).all()
    return (predicted, label) if finite else (predicted[:0], label[:0])
