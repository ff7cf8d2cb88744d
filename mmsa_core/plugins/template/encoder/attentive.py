"""Attention pooling (Yang et al., NAACL 2016, https://aclanthology.org/N16-1174), of frames instead of words.

Symbols: x = features of a frame, h = its representation, t = frame, alpha = how much a frame counts.
The paper has a recurrent network beneath the attention; here it is one layer, so that frames have no order.
"""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import ComponentConfig, Context, Encoder
from mmsa_core.encoders import masked
from mmsa_core.types import Encoded, Modality


class AttentivePooling(Encoder):
    r"""The frames that matter, and how much each of them does (equations 5 to 7).

    .. math:: u_t = \tanh(W h_t + b), \quad \alpha_t = \mathrm{softmax}_{t\ \mathrm{observed}}(u_t^T u), \quad
              \mathrm{pooled} = \sum_t \alpha_t h_t, \qquad h_t = \mathrm{ReLU}(V x_t + c)
    """

    class Config(ComponentConfig):
        hidden: PositiveInt = 32
        """Width of u."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
        """Dropout of h."""

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
        self.project = nn.Sequential(
            nn.Linear(context.channels[modality], context.dim), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.attention = nn.Sequential(
            nn.Linear(context.dim, config.hidden), nn.Tanh(), nn.Linear(config.hidden, 1, bias=False)
        )

    def forward(self, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]) -> Encoded:
        h = self.project(masked.fill(features, observed))
        score = self.attention(h).squeeze(2)
        # The lowest number instead of -inf: a sample without any frame stays finite, and is zeroed.
        alpha = score.masked_fill(~observed, torch.finfo(score.dtype).min).softmax(dim=1).masked_fill(~observed, 0.0)
        pooled = (alpha.unsqueeze(2) * h).sum(dim=1)
        return Encoded(sequence=masked.fill(h, observed), observed=observed, pooled=pooled)
