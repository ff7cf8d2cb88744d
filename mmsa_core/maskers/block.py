"""Hides a run of neighbouring frames of each modality (the time mask of SpecAugment, Park et al., Interspeech 2019)."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.maskers.rate import Rate, draw_rate
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class Block(Masker):
    """Hides one run of frames per modality, anywhere between its first and its last observed frame."""

    class Config(ComponentConfig):
        rate: Rate
        """Length of the run as a share of that span, or [low, high]: each sample draws its own."""
        keep_one: bool = True
        """Whether a modality that is present keeps at least one frame, whatever the rate."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"rate": 0.5})]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        hidden = {}
        for m, observed in batch.observed.items():
            frame = torch.arange(observed.shape[1], device=observed.device)
            end = torch.where(observed, frame + 1, 0).amax(dim=1)  # just behind the last observed frame
            first = torch.where(observed, frame, end.unsqueeze(1)).amin(dim=1)
            span = end - first
            rate = draw_rate(self.config.rate, draw, batch.key, "block", m)
            length = (rate * span).round().long()
            if self.config.keep_one:
                length = length.minimum((span - 1).clamp(min=0))
            room = span - length
            start = (draw.samples(batch.key, "block", m) * (room + 1)).long().minimum(room) + first
            hidden[m] = (frame >= start.unsqueeze(1)) & (frame < (start + length).unsqueeze(1))
        return batch.hide(hidden)
