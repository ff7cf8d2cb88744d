"""GCNet (Lian et al., TPAMI 2023; zeroQiaoba/GCNet, 8cce4a0): cells of utterances and modalities are lost.

The published code draws a table of cells for each batch of conversations, in every pass, at test too, from numpy's
generator in whatever state it is; its padding gets cells as well. What it draws from a given state is
exact here; a split's table is drawn at once, in the stored order, from `seed`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATES = tuple(n / 10 for n in range(8))
AVERAGE = ("avg{n}", "mean")
SEED = 100
TOLERANCE, LEAST = 0.005, 32


def masks(valid: Sequence[NDArray[np.bool_]], rate: float, seed: int | None = None) -> list[NDArray[np.bool_]]:
    """What is kept of each modality, given in the order text, audio, vision."""
    table = cells(len(valid[0]), rate, np.random.RandomState(SEED if seed is None else seed))
    columns = (1, 0, 2)  # the code's order: audio, text, vision
    return [np.repeat(table[:, c : c + 1], each.shape[1], axis=1) for c, each in zip(columns, valid, strict=True)]


def cells(rows: int, rate: float, source: np.random.RandomState, modalities: int = 3) -> NDArray[np.bool_]:
    """A table [rows, modalities] of what is kept.

    One survivor a row, drawn uniformly, and others at the share that is left for them, corrected by how many of a first
    draw fell on survivors; drawn again until the share kept is within 0.005 of 1 - rate. Shares are cut to per cent.
    """
    share = 1 - rate
    if share <= 1 / modalities:
        return survivors(rows, source, modalities)
    if share == 1:
        return np.ones((rows, modalities), dtype=bool)
    drawn = max(rows, LEAST)
    total = modalities * drawn
    others = total * share - drawn
    while True:
        survive = survivors(drawn, source, modalities)
        overlap = (survive & draw(drawn, others / total, source, modalities)).sum()
        kept: NDArray[np.bool_] = survive | draw(drawn, others / (1 - overlap / others) / total, source, modalities)
        if abs(share - kept.sum() / total) < TOLERANCE:
            return kept[:rows]


def survivors(rows: int, source: np.random.RandomState, modalities: int) -> NDArray[np.bool_]:
    """One modality a row."""
    return np.eye(modalities, dtype=bool)[source.randint(0, modalities, size=rows)]


def draw(rows: int, share: float, source: np.random.RandomState, modalities: int) -> NDArray[np.bool_]:
    """Cells at a share, cut to whole per cent."""
    return source.randint(0, 100, size=(rows, modalities)) < int(share * 100)
