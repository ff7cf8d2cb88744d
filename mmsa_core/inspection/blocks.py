"""The features of a split in blocks of rows: the one place that knows how a split stores its frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.types import Modality

Array = NDArray[Any]
Present = NDArray[np.bool_]
ROWS, NUMBERS = 256, 2**24
"""Rows of a block, and numbers that it is padded to (64 MiB), at most, but one row at least: what is computed of it
stays small whatever the corpus' size."""


@dataclass(frozen=True)
class Block:
    """Some rows of one modality, one after another."""

    start: int
    """The first row's number in the split."""
    features: Array
    """[rows, time, channels]; frames that are not observed may hold anything."""
    observed: Present
    """[rows, time]."""

    @property
    def frames(self) -> Array:
        """The observed frames [frames, channels], in the rows' order."""
        found: Array = self.features[self.observed]
        return found

    @property
    def owners(self) -> Array:
        """The row of the split that each observed frame belongs to."""
        owners: Array = np.nonzero(self.observed)[0] + self.start
        return owners


def blocks(split: Split, modality: Modality) -> Iterator[Block]:
    """The rows of a modality, padded within a block at most."""
    sequences, row = split.features[modality], torch.arange(len(split))
    for start, stop in _extents(sequences):
        features, observed = sequences.rows((row >= start) & (row < stop)).padded()
        yield Block(start, features.numpy(), observed.numpy())


def _extents(sequences: Sequences) -> Iterator[tuple[int, int]]:
    """First and last row of each block."""
    first, longest = 0, 0
    for row, length in enumerate(sequences.lengths.tolist()):
        longest = max(longest, length)
        if row - first == ROWS or (row > first and (row - first + 1) * longest * sequences.channels > NUMBERS):
            yield first, row
            first, longest = row, length
    if first < len(sequences):
        yield first, len(sequences)


def width(split: Split, modality: Modality) -> int:
    """Channels of a modality."""
    return split.features[modality].channels


def dtype(split: Split, modality: Modality) -> str:
    """The type of a modality's features, as they are in memory."""
    return str(split.features[modality].values.dtype).removeprefix("torch.")


def present(split: Split, modality: Modality) -> Present:
    """Which rows have a frame of a modality."""
    found: Present = split.features[modality].present().numpy()
    return found


def pooled(split: Split, modality: Modality) -> Array:
    """The mean of each row's observed frames [rows, channels]; zero where there is none.

    What is not finite counts as zero.
    """
    found = np.zeros((len(split), width(split, modality)), dtype=np.float32)
    for block in blocks(split, modality):
        seen = block.observed[:, :, None] & np.isfinite(block.features)
        total = np.where(seen, block.features, 0).sum(axis=1, dtype=np.float64)
        found[block.start : block.start + len(total)] = total / np.maximum(block.observed.sum(axis=1), 1)[:, None]
    return found


def tokens(split: Split, modality: Modality) -> bool:
    """Whether frames are token ids with mask and segment, of which a mean says nothing."""
    if width(split, modality) != 3:
        return False
    first = next((block.frames for block in blocks(split, modality) if block.observed.any()), np.zeros((0, 3)))
    return bool(len(first) and (first == np.floor(first)).all() and (first[:, 1] == 1).all())
