"""How much a masker hides: one share for all samples, or a share drawn for each."""

from typing import Annotated

from jaxtyping import Float, Int64
from pydantic import AfterValidator, Field
from torch import Tensor

from mmsa_core.missing import Draw

Share = Annotated[float, Field(ge=0, le=1)]


def _ordered(rate: tuple[float, float] | float) -> tuple[float, float] | float:
    if isinstance(rate, tuple) and rate[0] > rate[1]:
        raise ValueError(f"the range {list(rate)} ends below its start; write the lower share first")
    return rate


Rate = Annotated[Share | tuple[Share, Share], AfterValidator(_ordered)]
"""A share in [0, 1], or [low, high]: then each sample draws its own, uniformly."""


def draw_rate(
    rate: tuple[float, float] | float, draw: Draw, key: Int64[Tensor, " batch"], *purpose: str
) -> Float[Tensor, " batch"]:
    """The share of each sample."""
    low, high = rate if isinstance(rate, tuple) else (rate, rate)
    return low + (high - low) * draw.samples(key, *purpose, "rate")
