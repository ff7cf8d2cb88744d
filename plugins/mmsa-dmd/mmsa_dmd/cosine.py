"""Vectors of length one, whose products are the cosines of DMD's losses."""

from jaxtyping import Float
from torch import Tensor


def unit(x: Float[Tensor, "*shape"], dim: int, floor: float = 1e-12) -> Float[Tensor, "*shape"]:
    """X divided by its length along a dimension; with `floor` in the root zero stays zero, with a finite gradient.

    1e-12 is that of torch's CosineEmbeddingLoss.
    """
    return x * (x.square().sum(dim=dim, keepdim=True) + floor).rsqrt()
