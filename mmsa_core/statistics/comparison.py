"""The difference of two runs on the same resamples: an interval, a p-value, an effect size.

With `theta` the mean of a metric over seeds the difference is `theta_other - theta_baseline`, and `d_r` the same in
resample r of R. The interval is that of percentiles (Efron and Tibshirani 1993, ch. 13). The p-value is the smallest
level whose interval leaves zero out, `2 min(1 + #{d_r <= 0}, 1 + #{d_r >= 0}) / (R + 1)`, and never above 1: what was
observed counts as one resample (Davison and Hinkley 1997, ch. 4), so that no p-value is zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmsa_core.evaluation.measures import Measure
from mmsa_core.statistics.counted import Counts, Values
from mmsa_core.statistics.resampling import Weights

LEVEL = 0.05
"""A difference counts where its corrected p-value is below; intervals hold 1 - LEVEL."""


@dataclass(frozen=True)
class Interval:
    """Where a difference lies; None where no resample defines it."""

    low: float | None
    high: float | None
    p: float | None
    undefined: int
    """Resamples without a value, such as those that drew one class only; the others tell the interval."""

    @property
    def leaves_zero_out(self) -> bool:
        """Whether zero is outside."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def over_seeds(measures: Sequence[Measure], counts: Counts, weights: Weights) -> Values:
    """The mean over the drawn seeds of one metric, in each resample; `measures` has one of each seed."""
    each = np.stack([measure.resampled(counts) for measure in measures])
    mean: Values = np.where(weights > 0, weights * each, 0.0).sum(axis=0)  # a seed that was not drawn says nothing
    return mean


def interval(differences: Values) -> Interval:
    """Percentile interval and two-sided p-value of the differences in all resamples."""
    defined = differences[~np.isnan(differences)]
    undefined = len(differences) - len(defined)
    if not len(defined):
        return Interval(None, None, None, undefined)
    low, high = np.quantile(defined, [LEVEL / 2, 1 - LEVEL / 2], method="weibull")  # ranks of R + 1, as p has them
    least = 1 + min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return Interval(float(low), float(high), min(1.0, 2 * least / (len(defined) + 1)), undefined)


def hedges(baseline: Sequence[float], other: Sequence[float], paired: bool) -> float | None:
    """The difference in standard deviations, with Hedges' correction (Journal of Educational Statistics 1981).

    Paired: the mean of the seeds' differences over their standard deviation (`d_z`), with n - 1 degrees of
    freedom. Otherwise: the difference of the means over the pooled standard deviation. None with fewer than
    two degrees of freedom (where its expectation does not exist) and where nothing varies.
    """
    a, b = np.asarray(baseline, np.float64), np.asarray(other, np.float64)
    if paired:
        difference, freedom = b - a, len(a) - 1
        squares = _squares(difference)
    else:
        freedom, squares = len(a) + len(b) - 2, _squares(a) + _squares(b)
    if freedom < 2 or squares == 0:
        return None
    return float((b.mean() - a.mean()) / math.sqrt(squares / freedom) * _unbiased(freedom))


def _squares(values: Values) -> float:
    """The sum of squares about the mean; exactly zero where all are equal."""
    return 0.0 if values.min() == values.max() else float(((values - values.mean()) ** 2).sum())


def _unbiased(freedom: int) -> float:
    """Hedges' J(m) = Gamma(m/2) / (sqrt(m/2) Gamma((m-1)/2))."""
    return math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for all comparisons of a family (Holm, Scandinavian Journal of Statistics 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below one before it, none above 1. A
    comparison without a p-value is none.
    """
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    running = 0.0
    for rank, (value, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * value))
        corrected[place] = running
    return corrected


def smallest_p(resamples: int) -> float:
    """No p-value of so many resamples is below."""
    return 2 / (resamples + 1)
