"""The critic of CorrKD's mutual-information bound: a small network that scores pairs of responses.

The paper calls it a learned network and states nothing more; every field here is our default.
"""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from mmsa_core.closed import Closed


class MlpCritic(nn.Module):
    """T(x, y) = MLP([x, y]) for every pair.

    `numbers` is how many a step of its computation holds for one pair.
    """

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        widths = [2 * width, *[hidden] * layers]
        self.numbers = max(widths)
        inner = [nn.Sequential(nn.Linear(i, o), nn.ReLU()) for i, o in pairwise(widths)]
        self.net = nn.Sequential(*inner, nn.Linear(widths[-1], 1))

    def forward(
        self, x: Float[Tensor, "*groups rows width"], y: Float[Tensor, "*groups batch width"]
    ) -> Float[Tensor, "*groups rows batch"]:
        rows, n = x.shape[-2], y.shape[-2]
        pairs = [x.unsqueeze(-2).expand(*x.shape[:-1], n, -1), y.unsqueeze(-3).expand(*y.shape[:-2], rows, n, -1)]
        scores: Tensor = self.net(torch.cat(pairs, dim=-1)).squeeze(-1)
        return scores


class BilinearCritic(nn.Module):
    """T(x, y) = x W y for every pair."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.numbers = 1
        self.W = nn.Parameter(torch.empty(width, width))
        nn.init.xavier_uniform_(self.W)

    def forward(
        self, x: Float[Tensor, "*groups rows _left"], y: Float[Tensor, "*groups batch _right"]
    ) -> Float[Tensor, "*groups rows batch"]:
        return x @ self.W @ y.mT


class CriticConfig(Closed):
    """The critic's shape."""

    kind: Literal["mlp", "bilinear"] = "mlp"
    """`mlp` reads the concatenated pair, `bilinear` is x W y. Not stated in the paper; our default."""
    hidden: PositiveInt = 64
    """Width of the mlp's hidden layers; bilinear has none. Not stated in the paper; our default."""
    layers: PositiveInt = 2
    """Hidden layers of the mlp; bilinear has none. Not stated in the paper; our default."""

    def build(self, width: int) -> MlpCritic | BilinearCritic:
        """Make a critic of two responses, each `width` wide, with weights from torch's global generator."""
        return BilinearCritic(width) if self.kind == "bilinear" else MlpCritic(width, self.hidden, self.layers)
