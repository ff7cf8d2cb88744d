"""Recorded masks of the kit's samples, for what replays them."""

from pathlib import Path

import torch

from mmsa_core.masks import manifest
from mmsa_core.masks.manifest import Manifest
from mmsa_core.testing.cases.masker import SAMPLES
from mmsa_core.testing.samples import MODALITIES, batch


def recorded(path: Path) -> Path:
    """A manifest in which every second frame, about, is hidden."""
    full, source = batch(MODALITIES, SAMPLES), torch.Generator().manual_seed(0)
    kept = {m: torch.rand(seen.shape, generator=source) < 0.5 for m, seen in full.observed.items()}
    manifest.write(path, Manifest(tuple(f"sample {i}" for i in range(SAMPLES)), full.key, kept))
    return path
