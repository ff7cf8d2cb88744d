"""Adds Gaussian noise to features: the corruption that missing frames are compared with."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.example import Example
from mmsa_core.maskers.named import Names, named
from mmsa_core.missing import Draw
from mmsa_core.types import Batch, Modality


class Noise(Masker):
    """Adds to each observed value a normal number times `deviations` of its column's deviation in training.

    The numbers depend on sample, frame and column alone; with more deviations they are the same numbers, scaled.
    """

    changes_features = True

    class Config(ComponentConfig):
        deviations: NonNegativeFloat
        """Standard deviation of the noise, in units of each column's deviation over the observed training frames."""
        modalities: Names | None = None
        """Which modalities are noisy; by default all."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"deviations": 0.5})]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.scales: dict[Modality, Tensor] = {}

    def prepare(self, train: Split, raw: Collection[Modality] = ()) -> None:
        chosen = named(self.config.modalities, train.features, "noise")
        if refused := [m for m in chosen if m in raw]:
            others = ", ".join(m for m in train.features if m not in raw)
            raise UserError(
                f"masker 'noise': {', '.join(map(repr, refused))} has features that are no amounts (its encoder takes "
                f"them as they are, token ids for example), so nothing can be added to them; "
                f"{f'name others: modalities: [{others}]' if others else 'use another masker'}"
            )
        self.scales = {m: train.features[m].statistics.deviation for m in chosen}

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        features = dict(batch.features)
        for m in named(self.config.modalities, batch.features, "noise"):
            x, seen = batch.features[m], batch.observed[m].unsqueeze(2)
            scale = self.config.deviations * self.scales[m].to(x.device)
            noise = draw.normal(batch.key, x.shape[1], x.shape[2], "noise", m) * scale
            features[m] = torch.where(seen, x + noise.to(x.dtype), x)
        return replace(batch, features=features)
