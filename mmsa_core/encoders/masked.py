"""Arithmetic over observed frames only: what is hidden is replaced, never multiplied, so NaN cannot pass."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor


def fill(
    x: Float[Tensor, "batch time width"], observed: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time width"]:
    """Zero at every step that is not observed; no gradient flows to such a step."""
    return x.masked_fill(~observed.unsqueeze(-1), 0.0)


def mean(x: Float[Tensor, "batch time width"], observed: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch width"]:
    """Mean over the observed steps; zero where there is none."""
    return mean_of_filled(fill(x, observed), observed)


def mean_of_filled(
    x: Float[Tensor, "batch time width"], observed: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch width"]:
    """The same for steps of which those that are not observed are zero."""
    return x.sum(dim=1) / observed.sum(dim=1, keepdim=True).clamp(min=1)


def steps(
    x: Float[Tensor, "batch time width"], index: Int64[Tensor, "batch picked"]
) -> Float[Tensor, "batch picked width"]:
    """The steps of each sample that `index` names."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[2]))
