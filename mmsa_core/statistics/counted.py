"""Metrics of samples drawn with replacement, of all resamples at once: a sample that was drawn twice counts twice.

`counts` [samples, resamples] says how often each sample is in each resample. Every function gives what its
namesake in `metrics.py` gives on the samples repeated so often, one value per resample, nan where it is undefined.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import NDArray

Array = NDArray[Any]
Counts = Float[Array, "samples resamples"]
Values = Float[Array, " resamples"]
Samples = Shaped[Array, " samples"]
CANCELLED = 1e-6
"""A variance below this share of the mean square has lost digits to cancellation."""


def mean(values: Samples, counts: Counts) -> Values:
    """The mean of the drawn values."""
    return _ratio(values.astype(np.float64) @ counts, counts.sum(axis=0))


def absolute_error(truth: Samples, predicted: Samples, counts: Counts) -> Values:
    """The mean distance of both."""
    return mean(np.abs(predicted - truth), counts)


def accuracy(truth: Samples, predicted: Samples, counts: Counts) -> Values:
    """Share of the drawn samples where both are equal."""
    return mean(truth == predicted, counts)


def weighted_f1(truth: Samples, predicted: Samples, counts: Counts) -> Values:
    """F1 of each class, weighted by its share of the drawn truth."""
    return _ratio(sum(support * f1 for support, _, f1 in _classes(truth, predicted, counts)), counts.sum(axis=0))


def macro_f1(truth: Samples, predicted: Samples, counts: Counts) -> Values:
    """The plain mean of F1 over the classes that occur in the drawn truth or predictions."""
    found = list(_classes(truth, predicted, counts))
    return _ratio(sum(f1 for _, _, f1 in found), sum(occurs for _, occurs, _ in found))


def _classes(truth: Samples, predicted: Samples, counts: Counts) -> Iterator[tuple[Values, Values, Values]]:
    """Of each class: how often it was drawn, whether it occurs in truth or prediction, its F1 (0 where it does not)."""
    for label in np.unique(np.concatenate([truth, predicted])):
        true, called = truth == label, predicted == label
        support, both, hit = true @ counts, true @ counts + called @ counts, (true & called) @ counts
        yield support, both > 0, np.divide(2 * hit, both, out=np.zeros_like(both), where=both > 0)


def auc(truth: Samples, score: Samples, counts: Counts) -> Values:
    """Share of the drawn pairs of a positive and a negative whose order is right; ties count half.

    Cumulative sums of the negatives in the order of their scores tell for each positive how many are
    below it: N log N for the order, then a pass over `counts`.
    """
    positive, negative = score[truth], score[~truth]
    order = np.argsort(negative, kind="stable")
    drawn, others = counts[truth], counts[~truth]
    below = np.concatenate([np.zeros((1, counts.shape[1])), others[order].cumsum(axis=0)])
    lower, upper = (np.searchsorted(negative[order], positive, side=side) for side in ("left", "right"))
    right = np.einsum("nr,nr->r", drawn, below[lower]) + np.einsum("nr,nr->r", drawn, below[upper])
    return _ratio(right / 2, drawn.sum(axis=0) * others.sum(axis=0))


def pearson(a: Samples, b: Samples, counts: Counts) -> Values:
    """Pearson's correlation of the drawn pairs; nan for fewer than two and where either is constant.

    From sums of squares and products, which is quick; where they cancel, because what was drawn hardly varies, once
    more about the mean of each resample.
    """
    x, y = _unit(a), _unit(b)
    total = counts.sum(axis=0)
    mean_x, mean_y, square_x, square_y, product = _ratio(np.stack([x, y, x * x, y * y, x * y]) @ counts, total)
    xx, yy, xy = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
    defined = total > 1
    cancelled = ~((xx > CANCELLED * square_x) & (yy > CANCELLED * square_y))
    if cancelled.any():
        again = counts[:, cancelled]
        near = _centred(x, again), _centred(y, again)
        pairs = ((near[0], near[0]), (near[1], near[1]), near)
        xx[cancelled], yy[cancelled], xy[cancelled] = (np.einsum("nr,nr,nr->r", again, *pair) for pair in pairs)
        defined[cancelled] &= ~_constant(a, again) & ~_constant(b, again)
    return np.where(defined, np.clip(_ratio(xy, np.sqrt(xx.clip(0)) * np.sqrt(yy.clip(0))), -1, 1), np.nan)


def _unit(values: Samples) -> Samples:
    """Values in units of the largest, so that no square underflows."""
    wide = values.astype(np.float64)
    unit: Array = wide / (np.abs(wide).max() or 1)
    return unit


def _centred(unit: Samples, counts: Counts) -> Float[Array, "samples resamples"]:
    """Each value about the mean of what was drawn."""
    centred = unit[:, None] - mean(unit, counts)
    rounded = np.einsum("nr,nr->r", centred, counts)  # of the first mean, which counts where values hardly differ
    found: Array = centred - _ratio(rounded, counts.sum(axis=0))
    return found


def _constant(values: Samples, counts: Counts) -> Shaped[Array, " resamples"]:
    """Whether all that was drawn has one value: whether the smallest that was drawn is the largest."""
    order = np.argsort(values, kind="stable")
    drawn = counts[order] > 0
    low, high = values[order][drawn.argmax(axis=0)], values[order][::-1][drawn[::-1].argmax(axis=0)]
    constant: Array = low == high
    return constant


def _ratio(part: Any, whole: Any) -> Values:
    """The quotient, nan where `whole` is zero."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    quotient: Values = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return quotient
