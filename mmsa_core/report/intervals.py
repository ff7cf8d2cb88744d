"""How far a metric of one seed moves when other samples are drawn."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmsa_core.comparison.compare import units
from mmsa_core.comparison.distributions import distributions
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.statistics.comparison import LEVEL
from mmsa_core.statistics.counted import Values
from mmsa_core.statistics.resampling import Resampling

RESAMPLES = 2000
"""For bands, which are drawn; comparisons take more."""
Intervals = Mapping[tuple[str, str], tuple[float, float]]
"""By metric and condition."""


def over_samples(evaluated: Evaluated, metrics: Sequence[str]) -> Intervals:
    """The 95 % percentile intervals over resampled samples, of videos as a whole where ids tell them."""
    plan = Resampling(RESAMPLES, 0, units(evaluated.split.ids, None)[0])
    return {where: _ends(drawn) for where, drawn in distributions(evaluated, metrics, plan).resampled.items()}


def _ends(drawn: Values) -> tuple[float, float]:
    """Where the middle 95 % lie; NaN where no resample defines the metric."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)
