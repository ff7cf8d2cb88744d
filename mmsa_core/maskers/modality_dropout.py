"""Hides whole modalities at random, one independently of another (ModDrop, Neverova et al., TPAMI 2016)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class ModalityDropout(Masker):
    """Hides each present modality with probability `rate`; of the present ones at least one survives.

    If all were drawn, the one with the highest number stays, so any of them may.
    """

    class Config(ComponentConfig):
        rate: Annotated[float, Field(ge=0, le=1)]
        """Probability that a modality of a sample is hidden."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"rate": 0.5})]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        number = {
            m: draw.samples(batch.key, "modality_dropout", m).masked_fill(~batch.present(m), -1.0)
            for m in batch.observed
        }
        highest = torch.stack(list(number.values())).amax(dim=0)
        hidden = {m: (u < self.config.rate) & (u < highest) for m, u in number.items()}
        return batch.hide({m: h.unsqueeze(1).expand_as(batch.observed[m]) for m, h in hidden.items()})
