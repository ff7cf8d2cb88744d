"""Hides cells of the table utterance x modality (GCNet, Lian et al., TPAMI 2023)."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.maskers.rate import Rate, draw_rate
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class Cells(Masker):
    """Keeps one of a sample's M modalities, drawn uniformly, and each other one with probability

        q = (M (1 - rate) - 1) / (M - 1), between 0 and 1,

    so that the expected share of hidden cells is `rate`, as far as one survivor allows: at most (M - 1) / M.

    M counts the modalities that the sample has. The paper's code draws the cells of a whole batch of conversations at
    once and again until their share is within 0.005 of the rate, padding counted; here each sample is drawn alone.
    """

    class Config(ComponentConfig):
        rate: Rate
        """Expected share of cells that are hidden, or [low, high]: each sample draws its own."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"rate": 0.4})]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        modalities = sorted(batch.observed)  # the draw must not depend on the order of the modalities
        present = torch.stack([batch.present(m) for m in modalities], dim=1)
        count = present.sum(dim=1)
        rate = draw_rate(self.config.rate, draw, batch.key, "cells")
        q = (count * (1 - rate) - 1) / (count - 1).clamp(min=1)
        number = torch.stack([draw.samples(batch.key, "cells", m) for m in modalities], dim=1)
        rank = torch.stack([draw.samples(batch.key, "survivor", m) for m in modalities], dim=1)
        survivor = rank.masked_fill(~present, -1.0).argmax(dim=1, keepdim=True)
        kept = (number < q.unsqueeze(1)).scatter(1, survivor, True)
        return batch.hide({m: ~kept[:, i : i + 1].expand_as(batch.observed[m]) for i, m in enumerate(modalities)})
