"""Mean of the frames, then a perceptron (the audio and visual networks of TFN, Zadeh et al., EMNLP 2017)."""

from itertools import pairwise
from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import ComponentConfig, Context, Encoder
from mmsa_core.encoders import masked
from mmsa_core.types import Encoded, Modality


class PooledEncoder(Encoder):
    """Forgets the order of frames: the smallest baseline. `sequence` is the same perceptron on each frame."""

    class Config(ComponentConfig):
        layers: PositiveInt = 2
        """Linear layers of the perceptron."""
        hidden: PositiveInt | None = None
        """Width between them; by default the model's width."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
        """Dropout before each layer but the first."""

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
        hidden = config.hidden or context.dim
        widths = [context.channels[modality], *[hidden] * (config.layers - 1), context.dim]
        self.perceptron = nn.Sequential(nn.Linear(*next(pairwise(widths))))
        for inner, outer in list(pairwise(widths))[1:]:
            self.perceptron.extend([nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(inner, outer)])

    def forward(self, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]) -> Encoded:
        x = masked.fill(features, observed)
        pooled = self.perceptron(masked.mean(x, observed))
        return Encoded(
            sequence=masked.fill(self.perceptron(x), observed),
            observed=observed,
            pooled=pooled.masked_fill(~observed.any(dim=1, keepdim=True), 0.0),
        )
