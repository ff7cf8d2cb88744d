"""Alignment of computational sequences to a pivot, by the rules of the CMU Multimodal SDK (Zadeh et al., 2018).

A frame goes with a frame of the pivot if they overlap by more than `EPSILON` seconds. The frames that go with one frame
of the pivot are collapsed to one.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from mmsa_core.datasets.csd import Frames
from mmsa_core.datasets.parts import Array

EPSILON = 10e-6
"""Seconds; the SDK's tolerance, as it writes it."""
Collapse = Literal["mean", "sum", "max", "min", "first", "last"]


def overlapping(frames: Frames, start: float, end: float) -> Array:
    """Numbers of the frames that overlap an interval by more than the tolerance, in their order.

    The SDK measures the length of the cut frame without its sign, so that a frame which ends before it starts can
    count; here it does not.
    """
    cut = np.minimum(frames.intervals[:, 1], end) - np.maximum(frames.intervals[:, 0], start)
    found: Array = np.flatnonzero(cut > EPSILON)
    return found


def to_pivot(frames: Frames, pivot: Frames, how: Collapse) -> tuple[Array, Array]:
    """For each frame of the pivot the frames that go with it, collapsed [frames, channels], and whether there are any.

    Where there is none the SDK leaves a gap, which its users fill with zeros; here the frame is not observed.
    """
    values = np.zeros((len(pivot.intervals), frames.features.shape[1]), dtype=np.float32)
    found = np.zeros(len(pivot.intervals), dtype=bool)
    reach = np.maximum.accumulate(frames.intervals[:, 1]) if len(frames.intervals) else frames.intervals[:, 1]
    for at, (start, end) in enumerate(pivot.intervals):  # those between the two cuts alone can overlap
        low, high = np.searchsorted(reach, start), np.searchsorted(frames.intervals[:, 0], end)
        near = frames.at(np.arange(low, high))
        rows = overlapping(near, start, end)
        if len(rows):
            values[at], found[at] = collapsed(near.features[rows], how), True
    return values, found


def collapsed(features: Array, how: Collapse) -> Array:
    """Frames [frames, channels] as one [channels]."""
    if how in ("first", "last"):
        one: Array = features[0 if how == "first" else -1]
        return one
    reduce: dict[str, Callable[..., Array]] = {"mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min}
    with np.errstate(over="ignore", invalid="ignore"):
        return reduce[how](features.astype(np.float64), axis=0)


def long_enough(frames: Frames) -> Frames:
    """The frames that the SDK aligns to: those longer than the tolerance."""
    return frames.at(np.flatnonzero(frames.intervals[:, 1] - frames.intervals[:, 0] >= EPSILON))
