"""Dropout whose masks come from random bytes: on a CPU, one number per element takes longer than all else with it."""

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mmsa_core.attention.form import few_operations

LEVELS = 256


def levels(rate: float) -> int:
    """How many of the 256 values of a byte drop an element; the rate that is used is this / 256, nearest to `rate`."""
    return min(round(rate * LEVELS), LEVELS - 1)


def keep_mask(shape: Sequence[int], dropped: UInt8[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """1 with probability 1 - dropped/256, else 0, independent for each element; `dropped` is broadcast."""
    return (_bytes(shape, dropped.device) >= dropped).view(torch.uint8)


def factors(shape: Sequence[int], rate: float, like: Tensor) -> Float[Tensor, "..."] | None:
    """Zero where dropout drops, 1 / (1 - rate used) where it keeps; None at a rate that drops nothing."""
    dropped = levels(rate)
    if not dropped:
        return None
    return (_bytes(shape, like.device) >= dropped).to(like.dtype).mul_(LEVELS / (LEVELS - dropped))


def dropout(x: Float[Tensor, "*shape"], rate: float, training: bool) -> Float[Tensor, "*shape"]:
    """Inverted dropout at a rate that a byte can express; what is kept is scaled by the rate really used."""
    factor = factors(x.shape, rate, x) if training else None
    return x if factor is None else x * factor


def _bytes(shape: Sequence[int], device: torch.device) -> UInt8[Tensor, "..."]:
    if few_operations(device):
        return torch.randint(LEVELS, tuple(shape), dtype=torch.uint8, device=device)
    count = prod(shape)
    # 64 random bits at a time, over the whole range: without bounds the top bit would always be 0.
    words = torch.empty(-(-count // 8), dtype=torch.int64, device=device).random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape)
