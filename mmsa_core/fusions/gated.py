"""Gated multimodal unit (GMU, Arevalo et al., 2017, https://arxiv.org/abs/1702.01992), for any number of modalities."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from mmsa_core.components import ComponentConfig, Context, Fusion
from mmsa_core.types import Encoded, Modality, Outputs


class Gated(Fusion):
    r"""Each feature of `joint` [batch, dim] is a mixture of the modalities that are present.

    .. math:: h_m = \tanh(W_m x_m), \quad
              z = \mathrm{softmax}_{m\ \mathrm{present}} (W^z_m [x_1; ...; x_M]), \quad h = \sum_m z_m * h_m

    With two modalities the softmax is the paper's sigmoid gate. An absent modality has no gate; a
    sample without any has `joint` zero.
    """

    class Config(ComponentConfig):
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout of the joint representation before the head."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.modalities = tuple(context.channels)
        dim, count = context.dim, len(self.modalities)
        self.transforms = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in self.modalities)
        self.gates = nn.Linear(count * dim, count * dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(dim, context.task.width)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        x = [encoded[m].pooled for m in self.modalities]
        absent = ~torch.stack([encoded[m].present for m in self.modalities], dim=1).unsqueeze(2)
        h = torch.stack([transform(x_m).tanh() for transform, x_m in zip(self.transforms, x, strict=True)], dim=1)
        score = self.gates(torch.cat(x, dim=1)).unflatten(1, (len(x), -1))
        # The lowest number instead of -inf: a row without any modality stays finite, and is zeroed.
        z = score.masked_fill(absent, torch.finfo(score.dtype).min).softmax(dim=1).masked_fill(absent, 0.0)
        joint = (z * h).sum(dim=1)
        return Outputs(encoded=encoded, joint=joint, logits=self.head(self.dropout(joint)))
