"""Heads of DMD's branches: residual perceptrons, those of one shape as one product.

Weights and inputs carry the head's number as their first axis: stack = heads of one shape.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.types import Modality


class Linears(nn.Module):
    """Several linear layers of one shape, initialised as torch's are."""

    def __init__(self, stack: int, wide: int, out: int, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(wide)
        self.weight = nn.Parameter(torch.empty(stack, wide, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(stack, 1, out).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Float[Tensor, "stack batch wide"]) -> Float[Tensor, "stack batch out"]:
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


class ResidualHeads(nn.Module):
    r"""A prediction from x and from what a perceptron adds to it.

    .. math:: r = \mathrm{relu}(W_1 x), \quad x' = x + W_2\,\mathrm{dropout}(r), \quad \hat y = W_o x'
    """

    def __init__(self, stack: int, wide: int, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = Linears(stack, wide, hidden), Linears(stack, hidden, wide)
        self.predict = Linears(stack, wide, width)
        self.dropout = dropout

    def forward(
        self, x: Float[Tensor, "stack batch wide"]
    ) -> tuple[
        Float[Tensor, "stack batch width"], Float[Tensor, "stack batch hidden"], Float[Tensor, "stack batch wide"]
    ]:
        """Prediction, r and x'."""
        r = F.relu(self.inner(x))
        state = x + self.outer(F.dropout(r, self.dropout, self.training))
        return self.predict(state), r, state


def same_shape(wide: Mapping[Modality, int]) -> list[tuple[Modality, ...]]:
    """The modalities in groups of equal width, in the order of their first."""
    groups: dict[int, list[Modality]] = {}
    for modality, width in wide.items():
        groups.setdefault(width, []).append(modality)
    return [tuple(group) for group in groups.values()]


def by_modality(members: Sequence[Modality], x: Float[Tensor, "stack ..."]) -> dict[Modality, Tensor]:
    """A stack's slices by name."""
    return dict(zip(members, x.unbind(0), strict=True))
