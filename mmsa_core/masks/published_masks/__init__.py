"""Masks of published codes, where these are deterministic: to replay what their tables were made with.

Each file has `RATES`, `AVERAGE` and `masks(valid, rate, seed)`; `valid` says which positions of the padded arrays are
frames, for the modalities in the order text, audio, vision. Our own maskers are the default: they depend on neither
order nor padding.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmsa_core.masks.published_masks import emt_dlfr, gcnet, imder, lnln, tfr_net


class Code(Protocol):
    """What each file gives."""

    @property
    def RATES(self) -> tuple[float, ...]:
        """The rates that it is tested at."""

    @property
    def AVERAGE(self) -> tuple[str, str]:
        """What its tables' average over the rates is called here, and how it is taken."""

    def masks(
        self, valid: Sequence[NDArray[np.bool_]], rate: float, seed: int | None = None
    ) -> list[NDArray[np.bool_]]:
        """What is kept of each modality at a rate; without a seed with the published ones."""


CODES: Mapping[str, Code] = {"mmsa": tfr_net, "emt-dlfr": emt_dlfr, "lnln": lnln, "gcnet": gcnet, "imder": imder}
