"""Hides what a manifest of masks says: recorded masks, met again frame by frame."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.errors import UserError
from mmsa_core.example import Example
from mmsa_core.masks import manifest
from mmsa_core.missing import Draw
from mmsa_core.types import Batch, Modality


class Replay(Masker):
    """Keeps of each sample the frames that its row of the manifest keeps, whatever the batch, its order and the draw.

    Padding and frames that the data lack stay unobserved.
    """

    deterministic = True

    class Config(ComponentConfig):
        path: Path
        """A manifest, as `mmsa masks` writes it (see `mmsa_core/masks/manifest.py`)."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.recorded import recorded

        return [Example({"path": recorded(folder / "masks.safetensors")})]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.manifest = manifest.read(config.path.expanduser())
        self.sorted, self.order = self.manifest.key.sort()

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        if lacks := [m for m in batch.observed if m not in self.manifest.observed]:
            raise UserError(
                f"masker 'replay': {self.config.path} has no masks of {', '.join(map(repr, lacks))}, only of "
                f"{', '.join(self.manifest.observed)}; name a manifest of all modalities that are read"
            )
        rows = self._rows(batch)
        return batch.hide({m: ~self._kept(m, observed, rows, batch) for m, observed in batch.observed.items()})

    def _rows(self, batch: Batch) -> Int64[Tensor, " batch"]:
        """The row of the manifest for each sample."""
        key = batch.key.cpu().contiguous()
        at = torch.searchsorted(self.sorted, key).clamp(max=len(self.sorted) - 1)
        unknown = self.sorted[at] != key
        if unknown.any():
            row = int(batch.index[int(unknown.nonzero()[0])])
            known = self.manifest.ids
            raise UserError(
                f"masker 'replay': {self.config.path} has no masks of the sample in row {row} of the split; it has "
                f"{len(known)} samples, from '{known[0]}' to '{known[-1]}'. Name one of these data and this split"
            )
        return self.order[at]

    def _kept(
        self, modality: Modality, observed: Bool[Tensor, "batch time"], rows: Int64[Tensor, " batch"], batch: Batch
    ) -> Bool[Tensor, "batch time"]:
        """What the manifest keeps, as long as the batch is padded."""
        kept = self.manifest.observed[modality][rows].to(observed.device)
        frames, time = kept.shape[1], observed.shape[1]
        beyond = observed[:, frames:].any(dim=1)
        if beyond.any():
            row = int(batch.index[int(beyond.nonzero()[0])])
            raise UserError(
                f"masker 'replay': {self.config.path} has {frames} frames of '{modality}', and the sample in row {row} "
                "of the split has more; name a manifest of these data"
            )
        return kept[:, :time] if frames >= time else F.pad(kept, (0, time - frames))
