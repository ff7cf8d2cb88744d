"""CorrKD's training simulation: modalities and frames missing at once (Li et al., CVPR 2024, arXiv 2404.16456)."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat

from mmsa_core.components import Masker
from mmsa_core.maskers.frame_dropout import FrameDropout
from mmsa_core.maskers.rate import Rate
from mmsa_core.maskers.subset import Subset
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class ModalityRandomMissing(Masker):
    """Keeps a drawn subset of a sample's modalities (inter-modality missing), then drops frames of each
    modality that is kept (intra-modality missing).

    Core's `subset` and `frame_dropout`, one after the other: a sample keeps at least one modality,
    and each kept modality at least one frame. The paper has both kinds and does not say how they are drawn.
    """

    class Config(Subset.Config):
        weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)] | None = None
        """Weight of each subset of the modalities, as `text+audio: 3`; those not named are never drawn. By
        default all 2^M - 1 non-empty subsets are equally likely. Not stated in the paper; our default."""
        rate: Rate = (0.0, 1.0)
        """Share of frames dropped, or [low, high]: each modality of each sample draws its own, uniformly.
        Not stated in the paper; our default."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.inter = Subset(config)
        self.intra = FrameDropout(FrameDropout.Config(rate=config.rate))

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        return self.intra(self.inter(batch, draw), draw)
