"""EMT-DLFR (Sun et al., IEEE TAFFC 2023; sunlicai/EMT-DLFR, e9f0960): TFR-Net's masks with a seed per modality.

The rates go from 0 to 1 on CMU-MOSI and CMU-MOSEI (to 0.5 on CH-SIMS); every rate is trained and tested alike.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmsa_core.masks.published_masks import tfr_net

RATES = tuple(n / 10 for n in range(11))
AVERAGE = ("auilc", "area")
SEEDS = (111, 1111, 11111)


def masks(valid: Sequence[NDArray[np.bool_]], rate: float, seed: int | None = None) -> list[NDArray[np.bool_]]:
    """What is kept of each modality, given in the order text, audio, vision; `seed` replaces all three seeds."""
    return tfr_net.frames(valid, rate, SEEDS if seed is None else (seed,) * 3)
