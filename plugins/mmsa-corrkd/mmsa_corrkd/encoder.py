"""CorrKD's encoder of one modality (Li et al., CVPR 2024, arXiv 2404.16456).

Conv1d with kernel 3 plus positions, then a Transformer encoder E_m, then the mean over time. The paper
concatenates the E_m on features and then pools, which needs equal lengths; each modality pooled first
and concatenated after gives the same number there, and works for any lengths (core's fusion `concat`).
"""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from mmsa_core.encoders.transformer import TransformerEncoder


class CorrKDEncoder(TransformerEncoder):
    """Core's `transformer` with the paper's sizes; the width d = 40 is the model's `dim`."""

    class Config(TransformerEncoder.Config):
        kernel: PositiveInt = 3
        """Frames that the convolution joins: 3, as in the paper."""
        layers: PositiveInt = 4
        """Transformer layers. Not stated in the paper; our default."""
        heads: PositiveInt = 10
        """Attention heads; must divide the model's width. HRLF, of the same laboratory, has 10 on MOSI and
        IEMOCAP and 8 on MOSEI; CorrKD's own number is not stated in the paper; our default."""
        feedforward: PositiveFloat = 4.0
        """Width of the feed-forward part as a multiple of the model's width. Not stated in the paper; our default."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
        """Dropout of attention, residuals and feed-forward part. Not stated in the paper; our default."""
