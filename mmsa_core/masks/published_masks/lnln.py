"""LNLN (Zhang et al., NeurIPS 2024; Haoyu-ha/LNLN, 80a052c): TFR-Net's masks with one seed and a rate per sample.

In testing all samples have one rate, from 0 to 0.9, and the seed of the configuration, whichever seed was trained. In
training each modality of each sample draws its rate uniformly, and half of the samples have none missing; the loader
worker that meets the first sample draws anew, so that training masks depend on the workers.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmsa_core.masks.published_masks import tfr_net

RATES = tuple(n / 10 for n in range(10))
AVERAGE = ("avg{n}", "mean")
SEED = 1111


def masks(valid: Sequence[NDArray[np.bool_]], rate: float, seed: int | None = None) -> list[NDArray[np.bool_]]:
    """What is kept in testing of each modality, given in the order text, audio, vision."""
    return masks_per_sample(valid, np.full((len(valid[0]), 1), rate), SEED if seed is None else seed)


def masks_per_sample(
    valid: Sequence[NDArray[np.bool_]], rates: NDArray[np.float64], seed: int
) -> list[NDArray[np.bool_]]:
    """What is kept with a rate for each sample [samples, 1]."""
    return tfr_net.frames(valid, rates, (seed,) * 3)
