"""Sequences of frames, of which some may be missing, one by one or stacked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core.attention import positions


@dataclass(frozen=True)
class Frames:
    """A sequence, or several of one shape, and which of its frames are there (None: all)."""

    x: Float[Tensor, "*stack batch T d"]
    real: Bool[Tensor, "*stack batch T"] | None = None

    def of(self, index: Int64[Tensor, " chosen"]) -> "Frames":
        """Some of several sequences."""
        return Frames(self.x.index_select(0, index), None if self.real is None else self.real.index_select(0, index))


def last_frames(x: Frames, hide: bool) -> Int64[Tensor, "*stack batch"]:
    """The index of the frame that stands for each sequence: the last step, or with `hide` the last that is there."""
    if not hide or x.real is None:
        return torch.full(x.x.shape[:-2], x.x.shape[-2] - 1, device=x.x.device)
    return last_there(x.real)


def last_there(real: Bool[Tensor, "*stack batch T"]) -> Int64[Tensor, "*stack batch"]:
    """The index of the last frame that is there; 0 where none is."""
    return (positions.indices(real).amax(dim=-1) - 1).clamp(min=0)


def stacked(frames: Sequence[Frames]) -> Frames:
    """Sequences of one shape on a new first axis."""
    if len(frames) == 1:
        (only,) = frames
        return Frames(only.x.unsqueeze(0), None if only.real is None else only.real.unsqueeze(0))
    x = torch.stack([f.x for f in frames])
    if all(f.real is None for f in frames):
        return Frames(x)
    whole = x.new_ones(x.shape[1:3], dtype=torch.bool)
    return Frames(x, torch.stack([whole if f.real is None else f.real for f in frames]))


def as_one(sequences: Sequence[Frames] | Frames) -> Frames | None:
    """Stacked, where all have one length."""
    if isinstance(sequences, Frames):
        return sequences
    return stacked(sequences) if len({each.x.shape for each in sequences}) == 1 else None


def as_list(sequences: Sequence[Frames] | Frames) -> Sequence[Frames]:
    """One after the other."""
    if not isinstance(sequences, Frames):
        return sequences
    real = [None] * len(sequences.x) if sequences.real is None else sequences.real.unbind(0)
    return [Frames(x, r) for x, r in zip(sequences.x.unbind(0), real, strict=True)]


def standing(frames: Frames, x: Float[Tensor, "*stack batch T d"], hide: bool) -> Float[Tensor, "*stack batch d"]:
    """What a sequence became, in the frame that stands for it."""
    if not hide:
        return x[..., -1, :]
    at = last_frames(frames, hide)[..., None, None].expand(*x.shape[:-2], 1, x.shape[-1])
    return x.gather(-2, at).squeeze(-2)
