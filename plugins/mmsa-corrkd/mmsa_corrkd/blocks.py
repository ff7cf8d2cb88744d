"""Pairs of a batch in blocks of rows: memory that does not grow with the square of the batch.

A batch of N has N^2 pairs. Up to `PAIRS` they are computed at once. Beyond that a block of rows is computed after the
other, and once more in the backward pass, so that the pairs of one block are all that is held: N more of memory, and a
third more of time.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PAIRS = 2**22
"""Numbers that a step of a computation holds at once, 16 MiB in single precision: all pairs of 2,048 samples."""


def summed(
    share: Callable[[Tensor, Tensor, int], Tensor], x: Float[Tensor, "batch _left"], y: Float[Tensor, "batch _right"]
) -> Tensor:
    """The sum over blocks of `share(rows of x, y, first row)`."""
    rows = _blocks(len(x), len(y))
    if len(rows) == 1:
        return share(x, y, 0)
    return torch.stack([_again(share, x[here], y, here.start) for here in rows]).sum(dim=0)


def scored(
    critic: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "*groups batch _left"],
    y: Float[Tensor, "*groups batch _right"],
    numbers: int,
) -> Float[Tensor, "*groups batch batch"]:
    """`critic(x, y)`, the score of every pair, where the critic needs so many `numbers` for one."""
    rows = _blocks(x.shape[-2], y.shape[:-1].numel() * numbers)
    if len(rows) == 1:
        return critic(x, y)
    return torch.cat([_again(critic, x[..., here, :], y) for here in rows], dim=-2)


def _blocks(rows: int, numbers: int) -> list[slice]:
    """Blocks of rows, where each row needs so many `numbers`."""
    step = max(1, PAIRS // max(numbers, 1))
    return [slice(first, first + step) for first in range(0, max(rows, 1), step)]


def _again(function: Callable[..., Tensor], *given: object) -> Tensor:
    """What a function gives, computed once more in the backward pass instead of being kept."""
    found: Tensor = checkpoint(function, *given, use_reentrant=False, preserve_rng_state=False)
    return found
