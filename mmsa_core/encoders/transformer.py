"""Convolution and self-attention over time (Vaswani et al., NeurIPS 2017, https://arxiv.org/abs/1706.03762).

The encoder of MulT's family and of CorrKD: Conv1d -> positions -> Transformer -> mean over observed frames.
"""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from torch import Tensor, nn

from mmsa_core.attention.heads import check_heads
from mmsa_core.components import ComponentConfig, Context, Encoder
from mmsa_core.encoders import masked
from mmsa_core.types import Encoded, Modality


class TransformerEncoder(Encoder):
    """Frames see their neighbours by convolution, then every observed frame by attention."""

    class Config(ComponentConfig):
        kernel: PositiveInt = 3
        """Frames that the convolution joins; odd, so that the length stays."""
        layers: PositiveInt = 4
        """Transformer layers."""
        heads: PositiveInt = 8
        """Attention heads; must divide the model's width."""
        feedforward: PositiveFloat = 4.0
        """Width of the feed-forward part as a multiple of the model's width."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
        """Dropout of attention, residuals and feed-forward part."""
        positions: Literal["sinusoidal", "none"] = "sinusoidal"
        """Whether the frame's index is added; hidden frames keep theirs."""

        @field_validator("kernel")
        @classmethod
        def _odd(cls, kernel: int) -> int:
            if kernel % 2 == 0:
                raise ValueError(f"kernel {kernel} is even; choose {kernel - 1} or {kernel + 1}")
            return kernel

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
        dim = context.dim
        check_heads(f"transformer encoder of '{modality}'", config.heads, dim)
        self.positions = config.positions
        self.convolution = nn.Conv1d(context.channels[modality], dim, config.kernel, padding="same")
        width = max(1, round(config.feedforward * dim))
        layer = nn.TransformerEncoderLayer(dim, config.heads, width, config.dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]) -> Encoded:
        # Hidden frames are zero for the convolution, exactly as the frames beyond the borders are.
        x = self.convolution(masked.fill(features, observed).mT).mT
        if self.positions == "sinusoidal":
            x = x + sinusoid(x)
        # Attention over nothing is NaN: a sample without any frame attends everywhere, and is zeroed below.
        hidden = ~observed & observed.any(dim=1, keepdim=True)
        if x.shape[0]:  # of nothing torch's attention cannot tell the shape; `len` would fix the number in an export
            x = self.layers(x, src_key_padding_mask=hidden)
        x = masked.fill(x, observed)
        return Encoded(sequence=x, observed=observed, pooled=masked.mean(x, observed))


def sinusoid(x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "time dim"]:
    r"""Position table for the frames of `x`, of any length and any width.

    .. math:: PE(t, 2i) = \sin(t / 10000^{2i/d}), \quad PE(t, 2i+1) = \cos(t / 10000^{2i/d})
    """
    _, time, dim = x.shape
    t = torch.arange(time, device=x.device, dtype=torch.float32).unsqueeze(1)
    even = torch.arange(0, dim, 2, device=x.device, dtype=torch.float32)
    angle = t * torch.exp(even * (-math.log(10000.0) / dim))
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :dim].to(x.dtype)
