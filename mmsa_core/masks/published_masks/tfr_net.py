"""TFR-Net (Yuan et al., ACM MM 2021) as in thuiar/MMSA (a94e65d): frames are lost once per split.

A frame is kept where a uniform number is above the rate; the numbers of a split are drawn at once for all rows and
frames, padding included, from numpy's generator. All three modalities have the same seed, so that modalities padded
to the same length lose the same frames. [CLS] and [SEP] of the text are always kept.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATES = (0.2,)
AVERAGE = ("avg{n}", "mean")
SEEDS = (1111, 1111, 1111)


def masks(valid: Sequence[NDArray[np.bool_]], rate: float, seed: int | None = None) -> list[NDArray[np.bool_]]:
    """What is kept of each modality, given in the order text, audio, vision; `seed` replaces the published seeds."""
    return frames(valid, rate, SEEDS if seed is None else (seed,) * 3)


def frames(
    valid: Sequence[NDArray[np.bool_]], rate: float | NDArray[np.float64], seeds: Sequence[int]
) -> list[NDArray[np.bool_]]:
    """What is kept of each modality, of which the first is a sentence; a rate for all, or one a row [samples, 1]."""
    kept = [kept_frames(v, rate, seed) for v, seed in zip(valid, seeds, strict=True)]
    return [with_ends(kept[0], valid[0]), *kept[1:]]


def kept_frames(valid: NDArray[np.bool_], rate: float | NDArray[np.float64], seed: int) -> NDArray[np.bool_]:
    """Frames [samples, frames] that are valid and whose number lies above the rate."""
    found: NDArray[np.bool_] = (np.random.RandomState(seed).uniform(size=valid.shape) > rate) & valid
    return found


def with_ends(kept: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the first and the last token of each sentence: [CLS] and [SEP].

    The last one is found as the code does, before the first invalid position: of a sentence that fills its row, and of
    one that is empty, that is the row's last position.
    """
    kept = kept.copy()
    kept[:, 0] = True
    kept[np.arange(len(kept)), np.argmin(valid, axis=1) - 1] = True
    return kept
