"""Facts on the features of one modality in one split."""

from dataclasses import dataclass, field

import numpy as np

from mmsa_core.corpora.corpus import Split
from mmsa_core.inspection.blocks import Array, Block, blocks, dtype, tokens, width
from mmsa_core.inspection.columns import Columns
from mmsa_core.types import Modality


@dataclass(frozen=True)
class Lengths:
    """Frames from a sequence's first observed one to its last, of the samples that have the modality."""

    shortest: int
    median: float
    longest: int
    all: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a number stands."""

    id: str
    row: int
    frame: int
    column: int
    value: str


@dataclass(frozen=True)
class Nonfinite:
    """Values of observed frames that are not finite."""

    nan: int
    plus_inf: int
    minus_inf: int
    first: Place | None

    @property
    def count(self) -> int:
        return self.nan + self.plus_inf + self.minus_inf


@dataclass(frozen=True)
class Features:
    """One modality in one split; every number is of observed frames."""

    width: int
    dtype: str
    rows: int
    with_it: int
    """Rows that have a frame of it."""
    frames: int
    lengths: Lengths | None
    nonfinite: Nonfinite
    constant: tuple[int, ...]
    """Columns that hold one and the same number everywhere."""
    zero_frames: int
    """Observed frames that are all zeros."""
    gaps: int
    """Frames that are not observed, between observed ones of their sequence."""
    late_starts: int
    """Sequences whose first frames are not observed: padding at the front."""
    low: float | None
    high: float | None
    deviations: tuple[float, ...]
    """Smallest, quartiles and largest standard deviation of the columns that are not constant; empty without any,
    and of token ids, which are no amounts."""


def features(split: Split, modality: Modality) -> Features:
    """Facts on one modality, in one pass over its rows."""
    columns = Columns(width(split, modality))
    lengths: list[Array] = []
    nan = plus = minus = frames = zero = gaps = late = with_it = 0
    first: Place | None = None
    for block in blocks(split, modality):
        x = block.frames
        length, begins = extents(block)
        lengths.append(length[length > 0])
        with_it += int((length > 0).sum())
        late += int((begins > 0).sum())
        frames += len(x)
        gaps += int(length.sum()) - len(x)
        zero += int((~x.any(axis=1)).sum())
        bad = ~np.isfinite(x)
        if bad.any():
            nan += int(np.isnan(x).sum())
            plus += int(np.isposinf(x).sum())
            minus += int(np.isneginf(x).sum())
            first = first or place(split, block, bad)
        columns.add(x)
    of_all = np.concatenate([np.zeros(0, dtype=np.int64), *lengths])
    low, high = columns.extremes()
    return Features(
        width=width(split, modality),
        dtype=dtype(split, modality),
        rows=len(split),
        with_it=with_it,
        frames=frames,
        lengths=Lengths(int(of_all.min()), float(np.median(of_all)), int(of_all.max()), tuple(of_all.tolist()))
        if len(of_all)
        else None,
        nonfinite=Nonfinite(nan, plus, minus, first),
        constant=columns.constant(),
        zero_frames=zero,
        gaps=gaps,
        late_starts=late,
        low=low,
        high=high,
        deviations=() if tokens(split, modality) else columns.deviations(),
    )


def extents(block: Block) -> tuple[Array, Array]:
    """For each row the frames from the first observed one to the last, and the number of the first; 0 without any."""
    some = block.observed.any(axis=1)
    begins = np.where(some, block.observed.argmax(axis=1), 0)
    ends = np.where(some, block.observed.shape[1] - block.observed[:, ::-1].argmax(axis=1), 0)
    return ends - begins, begins


def place(split: Split, block: Block, bad: Array) -> Place:
    """Where the first of the marked values of a block's observed frames stands."""
    frame, column = (int(i) for i in np.argwhere(bad)[0])
    row, time = (int(i) for i in np.argwhere(block.observed)[frame])
    value = str(float(block.features[row, time, column]))
    return Place(split.ids[block.start + row], block.start + row, time, column, value)
