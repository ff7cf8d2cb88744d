"""Rows that processes have of the same tensors, put together on each of them, with the gradient of one's own rows.

Every process goes on to compute the same loss of the whole, so the gradient of its own rows is already there: going
back nothing is sent. All tensors travel as bytes in one message.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from mmsa_core.errors import UserError
from mmsa_core.types import Outputs, map_tensors


class Lost(UserError):
    """Another process has ended, or cannot be reached any more."""


@contextmanager
def talking() -> Iterator[None]:
    """Around what processes send each other.

    Raises:
        Lost: where it does not arrive.
    """
    try:
        yield
    except RuntimeError as error:
        raise Lost(
            f"process {dist.get_rank()} of {dist.get_world_size()} no longer reaches another one, which has ended or "
            f"whose network failed; see what it said. With --resume training goes on ({str(error)[:200]})"
        ) from error


def gathered(own: Outputs, sizes: Sequence[int], rank: int) -> Outputs:
    """The outputs of all processes, of which each has so many rows; gradients reach this one's rows alone."""
    leaves: list[Tensor] = []

    def leaf(x: Tensor) -> Tensor:
        leaves.append(x)
        return x

    map_tensors(leaf, own)
    with torch.no_grad():
        whole = iter(exchanged(leaves, sizes))
    first, anchor = sum(sizes[:rank]), torch.empty(0, requires_grad=True)
    rows = slice(first, first + sizes[rank])

    def joined(x: Tensor) -> Tensor:
        found = next(whole)
        return _Joined.apply(x, found, rows, anchor) if x.is_floating_point() else found  # type: ignore[no-untyped-call]

    return map_tensors(joined, own)


class _Joined(torch.autograd.Function):
    """One tensor by itself, so that what no loss reads is as far from the loss as in one process.

    The anchor takes a gradient, so that the whole does where a process has no row of its own that takes one.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, whole: Tensor, rows: slice, anchor: Tensor) -> Tensor:
        ctx.rows = rows
        return whole.view_as(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0][ctx.rows], None, None, None


def exchanged(own: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """Each tensor with the rows of all processes, in their order; they differ in the number of rows alone."""
    rows = [x.reshape(len(x), prod(x.shape[1:])).contiguous().view(torch.uint8) for x in own]
    packed, widths = torch.cat(rows, dim=1), [x.shape[1] for x in rows]
    most, samples = max(sizes), sum(sizes)
    sent = packed.new_zeros(most, packed.shape[1])
    sent[: len(packed)] = packed
    found = sent.new_empty(len(sizes) * most, packed.shape[1])
    with talking():
        dist.all_gather(list(torch.split(found, most)), sent)
    if samples < len(found):
        found = torch.cat([part[:size] for part, size in zip(torch.split(found, most), sizes, strict=True)])
    # a copy, since numbers of several bytes begin at any byte of a row
    parts = (part.clone(memory_format=torch.contiguous_format).flatten() for part in torch.split(found, widths, dim=1))
    return [part.view(x.dtype).view(samples, *x.shape[1:]) for part, x in zip(parts, own, strict=True)]
