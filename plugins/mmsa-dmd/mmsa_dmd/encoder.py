"""DMD's projection of a modality's features: a convolution without bias, text features after dropout."""

from pydantic import PositiveInt

from mmsa_core.components import Context
from mmsa_core.encoders.projection import Projection
from mmsa_core.types import Modality


class DmdEncoder(Projection):
    """Core's `projection` with the published kernel (5 on MOSI; 5, 1 and 3 for text, audio, vision on MOSEI)."""

    class Config(Projection.Config):
        kernel: PositiveInt = 5
        """Frames that the convolution joins."""

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
