"""Gated recurrence over time: LSTM (Hochreiter & Schmidhuber, 1997) or GRU (Cho et al., EMNLP 2014).

The observed frames are moved to the front and read one after another, so a hidden frame is not a
step at all. Padding follows the last frame in either direction, so nothing that it does is read;
this needs no packed sequences and no exchange with the host.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import ComponentConfig, Context, Encoder
from mmsa_core.encoders import masked
from mmsa_core.example import Example
from mmsa_core.recording import recording
from mmsa_core.types import Encoded, Modality


class RecurrentEncoder(Encoder):
    """Reads the observed frames in order, in one direction or in both."""

    class Config(ComponentConfig):
        cell: Literal["gru", "lstm"] = "gru"
        """Kind of recurrence."""
        layers: PositiveInt = 1
        """Recurrent layers."""
        bidirectional: bool = False
        """Whether each layer also reads backwards; both halves are projected to the model's width."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout between layers."""
        pooling: Literal["last", "mean"] = "last"
        """The state after the last observed frame (of each direction), or the mean over observed frames."""

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example(), Example({"cell": "lstm", "layers": 2, "bidirectional": True, "pooling": "mean"})]

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
        self.pooling = config.pooling
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[config.cell]
        directions = 2 if config.bidirectional else 1
        widths = [context.channels[modality], *[directions * context.dim] * (config.layers - 1)]
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(width, context.dim, batch_first=True) for _ in range(directions)) for width in widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.project = nn.Linear(2 * context.dim, context.dim) if config.bidirectional else nn.Identity()

    def forward(self, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]) -> Encoded:
        count = observed.sum(dim=1, keepdim=True)
        place, order = front(observed, count)
        x = masked.steps(masked.fill(features, observed), order)
        mirror = reversal(count, x.shape[1])
        for depth, layer in enumerate(self.layers):
            x = self._both(layer, x if depth == 0 else self.dropout(x), mirror)
        sequence = masked.fill(self.project(masked.steps(x, place)), observed)
        if self.pooling == "mean":
            return Encoded(sequence, observed, masked.mean(sequence, observed))
        half = x.shape[2] // len(self.layers[-1])  # type: ignore[arg-type]
        ahead = masked.steps(x[..., :half], (count - 1).clamp(min=0))[:, 0]
        last = torch.cat([ahead, x[:, 0, half:]], dim=1)  # reading backwards, the first frame is the last
        pooled = self.project(last).masked_fill(count == 0, 0.0)
        return Encoded(sequence, observed, pooled)

    @staticmethod
    def _both(layer: nn.Module, x: Tensor, mirror: Tensor) -> Tensor:
        """One layer: the states of the forward direction, beside them those of the backward direction."""
        forward, *backward = list(layer.children())
        states = [_read(forward, x)]
        states += [masked.steps(_read(cell, masked.steps(x, mirror)), mirror) for cell in backward]
        return torch.cat(states, dim=2)


def front(
    observed: Bool[Tensor, "batch time"], count: Int64[Tensor, "batch 1"]
) -> tuple[Int64[Tensor, "batch time"], Int64[Tensor, "batch time"]]:
    """Where each frame goes when those that are observed are moved to the front in their order; and which comes where.

    By counting, which an exported graph can do too, where ONNX has no stable sort.
    """
    place = torch.where(observed, observed.cumsum(dim=1) - 1, count + (~observed).cumsum(dim=1) - 1)
    step = torch.arange(observed.shape[1], device=observed.device).expand_as(place)
    return place, torch.zeros_like(place).scatter(1, place, step)


def _read(cell: nn.Module, x: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch time dim"]:
    """The states of one direction."""
    assert isinstance(cell, nn.GRU | nn.LSTM)
    if recording():
        from mmsa_core.encoders.recurrence import scanned

        return scanned(cell, x)
    found: Tensor = cell(x)[0]
    return found


def reversal(count: Int64[Tensor, "batch 1"], time: int) -> Int64[Tensor, "batch time"]:
    """The index that reverses the first `count` steps of each sample and leaves the others."""
    step = torch.arange(time, device=count.device)
    return torch.where(step < count, count - 1 - step, step)
