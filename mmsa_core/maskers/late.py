"""Lets modalities arrive late: what is seen at a time is what happened some frames before."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.maskers.named import Names, named
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class Late(Masker):
    """Shows at frame t what happened at frame t - k, and whether it was observed.

    The first k frames are unobserved, and the last k before the modality's last observed frame never arrive: a modality
    of k frames or fewer is missing. What happened stays what it was: frames are moved, never made.
    """

    changes_features = True
    deterministic = True

    class Config(ComponentConfig):
        frames: NonNegativeInt
        """k: how many frames late."""
        modalities: Names | None = None
        """Which modalities are late; by default all."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"frames": 2})]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        features, seen = dict(batch.features), dict(batch.observed)
        for m in named(self.config.modalities, batch.observed, "late"):
            observed, k = batch.observed[m], min(self.config.frames, batch.observed[m].shape[1])
            frame = torch.arange(observed.shape[1], device=observed.device)
            end = torch.where(observed, frame + 1, 0).amax(dim=1, keepdim=True)  # just behind the last observed frame
            seen[m] = F.pad(observed[:, : len(frame) - k], (k, 0)) & (frame < end)
            features[m] = F.pad(batch.features[m][:, : len(frame) - k], (0, 0, k, 0))
        return replace(batch, features=features, observed=seen)
