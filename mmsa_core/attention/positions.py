"""Sinusoidal positions of the Multimodal Transformer (the tensor2tensor form), and the causal mask of sequences."""

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@lru_cache(maxsize=64)
def table(time: int, dim: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "rows dim"]:
    r"""Rows 0..time; row 0 is zero and stands for a frame without a position. Not to be changed in place.

    .. math:: PE(t, i) = \sin(t \omega_i), \quad PE(t, n + i) = \cos(t \omega_i), \quad
              \omega_i = 10000^{-i / (n - 1)}, \quad i < n = \lfloor dim/2 \rfloor

    Sines stand before cosines, not between them; the last channel of an odd width is zero.
    """
    n = dim // 2
    frequency = torch.exp(torch.arange(n) * (-math.log(10000.0) / max(n - 1, 1)))
    angle = torch.arange(1, time + 1).unsqueeze(1) * frequency
    found = torch.zeros(time + 1, dim)
    found[1:, :n], found[1:, n : 2 * n] = angle.sin(), angle.cos()
    return found.to(device, dtype)


@lru_cache(maxsize=64)
def causal(queries: int, keys: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "queries keys"]:
    """0 where attention is allowed, else -inf: query i sees key j when j <= i + |queries - keys|."""
    allowed = torch.arange(keys) <= torch.arange(queries).unsqueeze(1) + abs(queries - keys)
    return torch.zeros(queries, keys).masked_fill_(~allowed, -math.inf).to(device, dtype)


def causal_from(
    queries: int, keys: int, longer: Int64[Tensor, " sequences"], dtype: torch.dtype
) -> Float[Tensor, "sequences queries keys"]:
    """The same where each sequence has its own difference of lengths: query i sees key j when j <= i + longer."""
    row = torch.arange(queries, device=longer.device).unsqueeze(1)
    allowed = torch.arange(keys, device=longer.device) <= row + longer.view(-1, 1, 1)
    return torch.zeros(allowed.shape, dtype=dtype, device=longer.device).masked_fill_(~allowed, -math.inf)


def indices(real: Bool[Tensor, "*batch time"]) -> Int64[Tensor, "*batch time"]:
    """The position of each frame, counted from 1; 0 where there is no frame. Missing frames are counted too."""
    return torch.arange(1, real.shape[-1] + 1, device=real.device) * real
