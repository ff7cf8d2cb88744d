"""Hides single frames at random: intra-modality missingness (TFR-Net, Yuan et al., ACM MM 2021; CorrKD, CVPR 2024)."""

from collections.abc import Sequence
from pathlib import Path

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.maskers.rate import Rate, draw_rate
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class FrameDropout(Masker):
    """Hides each observed frame with probability `rate`; with a higher rate the holes only grow."""

    class Config(ComponentConfig):
        rate: Rate
        """Probability that a frame is hidden, or [low, high]: each sample draws its own."""
        shared: bool = False
        """Whether all modalities lose the same frames (aligned data) or each its own."""
        keep_one: bool = True
        """Whether a modality that is present keeps at least one frame."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"rate": [0.2, 0.8]}), Example({"rate": 0.5, "shared": True, "keep_one": False})]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        hidden = {}
        for m, observed in batch.observed.items():
            purpose = ("frame_dropout",) if self.config.shared else ("frame_dropout", m)
            rate = draw_rate(self.config.rate, draw, batch.key, *purpose)
            number = draw.frames(batch.key, observed.shape[1], *purpose)
            hidden[m] = number < rate.unsqueeze(1)
            if self.config.keep_one:
                seen = number.masked_fill(~observed, -1.0)
                hidden[m] &= seen < seen.amax(dim=1, keepdim=True)
        return batch.hide(hidden)
