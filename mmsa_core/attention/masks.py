"""Which keys a query sees: frames that are there and, where attention is causal, no later ones."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.attention import positions
from mmsa_core.attention.frames import Frames, last_frames, last_there
from mmsa_core.recording import uncached

HIDDEN = -1e30
"""Score of a hidden key: finite, so that a query all of whose keys are hidden has weights, which are then not used."""


def lowest(dtype: torch.dtype) -> float:
    """`HIDDEN`, or what a narrower type has of it and can still be added to."""
    return max(HIDDEN, torch.finfo(dtype).min / 2)


def there(x: Frames, source: Frames | None) -> Bool[Tensor, "stack batch K"] | None:
    """Which keys are there, in the sources and in what reads itself; None where nothing is missing."""
    if source is None:
        return x.real
    if source.real is None and x.real is None:
        return None
    count = len(source.x)
    own = _real(Frames(x.x[count:], None if x.real is None else x.real[count:]))
    return torch.cat([_real(source), own]) if count < len(x.x) else _real(source)


def scores(
    x: Frames, keys: int, there: Bool[Tensor, "stack batch K"] | None, causal: bool
) -> Float[Tensor, "..."] | None:
    """What is added to the scores: [T, K], or where keys are hidden [stack * batch, 1, T, K]."""
    time = x.x.shape[2]
    if there is None:
        return uncached(positions.causal)(time, keys, x.x.device, x.x.dtype) if causal else None
    hidden = x.x.new_zeros(there.shape).masked_fill_(~there, lowest(x.x.dtype)).view(-1, 1, 1, keys)
    if not causal:
        return hidden.expand(-1, -1, time, -1)
    # lengths without padding, which must not matter where it is hidden
    longer = (last_frames(x, hide=True) - last_there(there)).abs()
    return hidden + positions.causal_from(time, keys, longer.flatten(), x.x.dtype).unsqueeze(1)


def alive(scores: Float[Tensor, "sequences 1 T K"], time: int) -> Bool[Tensor, "sequences T"]:
    """False for a query all of whose keys are hidden."""
    return (scores > lowest(scores.dtype) / 2).any(dim=3).expand(-1, -1, time).flatten(1)


def _real(frames: Frames) -> Bool[Tensor, "*stack batch T"]:
    return frames.x.new_ones(frames.x.shape[:-1], dtype=torch.bool) if frames.real is None else frames.real
