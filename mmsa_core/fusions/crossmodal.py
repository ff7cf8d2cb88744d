"""The Multimodal Transformer (MulT, Tsai et al., ACL 2019, https://arxiv.org/abs/1906.00295), aligned or not."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch.nn.functional as F
from torch import nn

from mmsa_core.attention.crossmodal import Crossmodal, CrossmodalConfig, frames, summary
from mmsa_core.components import Context, Fusion
from mmsa_core.example import Example
from mmsa_core.types import Encoded, Modality, Outputs


class MultimodalTransformer(Fusion):
    r"""Crossmodal attention between all pairs of modalities; the last steps side by side; a residual head.

    .. math:: \hat y = W_o (h + W_2\, \mathrm{dropout}(\mathrm{relu}(W_1 h))), \quad h = [h_1; ...; h_M]

    `joint` is h [batch, modalities * (modalities - 1) * dim]. The published projections are encoders here
    (`projection` of kernel 1).
    """

    mixed: ClassVar[bool] = False  # the gradient of its attention is written out, in one precision

    class Config(CrossmodalConfig):
        heads: int = 5
        """Attention heads; must divide the model's width (5 of 30 in the published code)."""

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"layers": 1, "hide": hide}, 20, modalities=(2, 3, 4)) for hide in (False, True)]

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.crossmodal = Crossmodal(config, context, "fusion 'crossmodal'")
        width = len(context.channels) * Crossmodal.width(context)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.head = nn.Linear(width, context.task.width)
        self.dropout, self.hide = nn.Dropout(config.output_dropout), config.hide
        self.fixed_length = not config.hide

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs:
        encoded = {m: encoded[m] for m in self.crossmodal.modalities}
        last, _ = self.crossmodal(frames(encoded))
        joint = summary(last, encoded, self.hide).transpose(0, 1).flatten(1)
        state = joint + self.outer(self.dropout(F.relu(self.inner(joint))))
        return Outputs(encoded=encoded, joint=joint, logits=self.head(state))
