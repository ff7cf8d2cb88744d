"""Vectors of length one, whose products are the cosines of DMD's losses."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def unit(x: Float[Tensor, "*shape"], dim: int, floor: float = 1e-12) -> Float[Tensor, "*shape"]:
    """X divided by its length along a dimension; with `floor` in the root zero stays zero, with a finite gradient.

    1e-12 is that of torch's CosineEmbeddingLoss. Half precision has neither floor: there it is taken in single.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    found: Tensor = _Unit.apply(wide, dim, floor)  # type: ignore[no-untyped-call]
    return found


class _Unit(torch.autograd.Function):
    r"""`unit` with its gradient written out, in a third of autograd's operations.

    .. math:: u = r x, \quad r = (x \cdot x + \epsilon)^{-1/2}, \quad \nabla_x = r\,(g - u\,(g \cdot u))
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, floor: float) -> Tensor:
        r = (x * x).sum(dim=dim, keepdim=True).add_(floor).rsqrt_()
        u = x * r
        ctx.dim = dim
        ctx.save_for_backward(u, r)
        return u

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        u, r = ctx.saved_tensors
        along = (g * u).sum(dim=ctx.dim, keepdim=True)
        return torch.addcmul(g, u, along, value=-1).mul_(r), None, None
