"""Low-rank multimodal fusion (LMF, Liu et al., ACL 2018, https://arxiv.org/abs/1806.00064)."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import ComponentConfig, Context, Fusion
from mmsa_core.fusions.factors import Factors
from mmsa_core.types import Encoded, Modality, Outputs


def low_rank(
    factors: Sequence[Float[Tensor, "batch factor"]], weights: Sequence[Float[Tensor, "rank factor dim"]]
) -> Float[Tensor, "batch dim"]:
    r"""A linear layer on the product of the factors whose weight tensor has rank R (section 3.2.2).

    .. math:: h = \sum_{i=1}^{R} \prod_m w_m^{(i)} \cdot [1; z_m]
    """
    product = torch.einsum("bf,rfd->rbd", factors[0], weights[0])
    for z, w in zip(factors[1:], weights[1:], strict=True):
        product = product * torch.einsum("bf,rfd->rbd", z, w)
    return product.sum(dim=0)


class LowRank(Fusion):
    """Tensor fusion at a cost that is linear in the number of modalities; `joint` is h [batch, dim]."""

    class Config(ComponentConfig):
        rank: PositiveInt = 4
        """R, the number of rank-one terms of the weight tensor."""
        width: PositiveInt = 16
        """Width of each z_m."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout of the joint representation before the head."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        modalities = tuple(context.channels)
        self.factors = Factors(modalities, context.dim, config.width)
        shape = (config.rank, config.width + 1, context.dim)
        # The published initialisation makes the product vanish with several modalities; here each
        # term of the product has unit scale, and so has the sum over the rank.
        scale = config.rank ** (-0.5 / len(modalities)) * (config.width + 1) ** -0.5
        self.weights = nn.ParameterList(nn.Parameter(scale * torch.randn(shape)) for _ in modalities)
        self.bias = nn.Parameter(torch.zeros(context.dim))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(context.dim, context.task.width)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        joint = low_rank(self.factors(encoded), list(self.weights)) + self.bias
        return Outputs(encoded=encoded, joint=joint, logits=self.head(self.dropout(joint)))
