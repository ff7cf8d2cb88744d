"""Late fusion by concatenation: the modalities side by side, then a linear head (as in CorrKD's networks)."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from mmsa_core.components import ComponentConfig, Context, Fusion
from mmsa_core.types import Encoded, Modality, Outputs


class Concat(Fusion):
    """`joint` [batch, modalities * dim] holds the pooled modalities in the recipe's order; an absent one is zero."""

    class Config(ComponentConfig):
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout of the joint representation before the head."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.modalities = tuple(context.channels)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(len(self.modalities) * context.dim, context.task.width)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        joint = torch.cat([encoded[m].pooled for m in self.modalities], dim=1)
        return Outputs(encoded=encoded, joint=joint, logits=self.head(self.dropout(joint)))
