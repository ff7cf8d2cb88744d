"""A convolution to the model's width and nothing else, as in MulT (Tsai et al., ACL 2019) and its descendants."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.attention.dropout import dropout
from mmsa_core.attention.form import few_operations
from mmsa_core.components import ComponentConfig, Context, Encoder
from mmsa_core.encoders import masked
from mmsa_core.example import Example
from mmsa_core.types import Encoded, Modality


class Projection(Encoder):
    """Conv1d over time; `pooled` is the mean of the steps that saw a frame.

    With `padding: valid` (as published) a sequence of T frames has T - kernel + 1 steps (a shorter one is
    filled to one step), and a step is observed where at least one of its frames is: padding behind a sequence
    adds steps. With `same` steps are frames.
    """

    class Config(ComponentConfig):
        kernel: PositiveInt = 1
        """Frames that the convolution joins."""
        padding: Literal["valid", "same"] = "valid"
        """Whether the sequence gets shorter, or is continued with zeros so that its length stays."""
        bias: bool = False
        """Whether the convolution has a bias."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout of the features before it."""
        skip: bool = True
        """Leave features as they are where they have the model's width already (as both published codes do)."""

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example(), Example({"kernel": 5}), Example({"kernel": 3, "padding": "same"})]

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
        channels = context.channels[modality]
        self.kernel, self.same, self.dropout = config.kernel, config.padding == "same", config.dropout
        self.convolution = None
        if not (config.skip and channels == context.dim):
            self.convolution = nn.Conv1d(channels, context.dim, config.kernel, bias=config.bias)
        self.fixed_length = self.convolution is not None and config.kernel > 1 and not self.same

    def length(self, time: int) -> int:
        if self.convolution is None or self.same:
            return time
        return max(1, time - self.kernel + 1)

    def forward(self, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]) -> Encoded:
        x = dropout(masked.fill(features, observed), self.dropout, self.training)
        if self.convolution is not None:
            before, after = self._margins(x.shape[1])
            x = F.pad(x, (0, 0, before, after)) if before or after else x
            x = _convolved(x, self.convolution)
            if self.kernel > 1 and not self.same:
                observed = F.pad(observed, (before, after)).unfold(1, self.kernel, 1).any(dim=2)
            x = masked.fill(x, observed)
        return Encoded(sequence=x, observed=observed, pooled=masked.mean_of_filled(x, observed))

    def _margins(self, time: int) -> tuple[int, int]:
        """Zero frames before and after the sequence."""
        if self.same:
            return (self.kernel - 1) // 2, self.kernel // 2
        return 0, max(0, self.kernel - time)


def _convolved(x: Float[Tensor, "batch time channels"], by: nn.Conv1d) -> Float[Tensor, "batch steps dim"]:
    """The convolution over time.

    On a CPU it is one over pictures a pixel high: there torch takes and gives the channels last, as they are here, and
    copies nothing.
    """
    if few_operations(x.device):
        found: Tensor = by(x.mT).mT
        return found
    return F.conv2d(x.mT.unsqueeze(2), by.weight.unsqueeze(2), by.bias).squeeze(2).mT
