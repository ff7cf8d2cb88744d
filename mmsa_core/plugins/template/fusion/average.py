"""Fusion by averaging what is there: the smallest one that does not mind how many modalities are missing."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from mmsa_core.components import ComponentConfig, Context, Fusion
from mmsa_core.types import Encoded, Modality, Outputs


class Average(Fusion):
    r"""`joint` [batch, dim] is the mean over P, the modalities that are present.

    .. math:: h = \frac1{|P|} \sum_{m \in P} W_m x_m, \qquad \mathrm{logits} = U h + b

    x_m is the pooled modality. A sample without any modality has `joint` zero.
    """

    class Config(ComponentConfig):
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout of h before the head."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.modalities = tuple(context.channels)
        self.transforms = nn.ModuleList(nn.Linear(context.dim, context.dim, bias=False) for _ in self.modalities)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(context.dim, context.task.width)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        x = [encoded[m].pooled for m in self.modalities]  # zero where the modality is absent
        total = torch.stack([w(x_m) for w, x_m in zip(self.transforms, x, strict=True)]).sum(dim=0)
        count = torch.stack([encoded[m].present for m in self.modalities], dim=1).sum(dim=1, keepdim=True)
        joint = total / count.clamp(min=1)
        return Outputs(encoded=encoded, joint=joint, logits=self.head(self.dropout(joint)))
