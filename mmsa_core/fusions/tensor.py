"""Tensor fusion network (TFN, Zadeh et al., EMNLP 2017, https://arxiv.org/abs/1707.07250)."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import ComponentConfig, Context, Fusion
from mmsa_core.errors import UserError
from mmsa_core.fusions.factors import Factors
from mmsa_core.types import Encoded, Modality, Outputs

LIMIT = 100_000
"""Entries of the product of one sample; each has a weight for every hidden unit."""


def outer(factors: Sequence[Float[Tensor, "batch _factor"]]) -> Float[Tensor, "batch product"]:
    r"""All products of one entry of each factor, :math:`\bigotimes_m [1; z_m]`, the last factor fastest."""
    return reduce(lambda product, f: (product.unsqueeze(2) * f.unsqueeze(1)).flatten(1), factors)


class TensorFusion(Fusion):
    """Uni-, bi- and trimodal products of the modalities, then two hidden layers; `joint` is the second."""

    class Config(ComponentConfig):
        width: PositiveInt = 16
        """Width of each z_m; the product has (width + 1)^M entries."""
        hidden: PositiveInt = 64
        """Width of the hidden layers and of the joint representation (128 in the paper)."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.15
        """Dropout of the product."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        count = len(context.channels)
        entries = (config.width + 1) ** count
        if entries > LIMIT:
            fitting = max(w for w in range(config.width) if (w + 1) ** count <= LIMIT)
            advice = f"Set its width to at most {fitting}, or use" if fitting else "Use"
            raise UserError(
                f"fusion 'tensor': {count} modalities of width {config.width} make a product of "
                f"({config.width} + 1)^{count} = {entries} entries per sample, more than {LIMIT}. "
                f"{advice} fusion 'low_rank'."
            )
        self.factors = Factors(tuple(context.channels), context.dim, config.width)
        self.hidden = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(entries, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(config.hidden, context.task.width)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        joint = self.hidden(outer(self.factors(encoded)))
        return Outputs(encoded=encoded, joint=joint, logits=self.head(joint))
