"""What a model sees of each sample: which modalities, and how full of holes they are; by masks or from the start."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core.types import Batch, Modality


def availability(batch: Batch) -> tuple[Int64[Tensor, " batch"], Float[Tensor, " batch"]]:
    """The code of the modalities that each sample shows (see `subset`), and the share of its frames that are missing.

    The share is that of holes among the frames from the first to the last observed one, of all modalities that are
    present together. Frames before and behind them cannot be told from padding; a modality that is absent adds
    nothing. 0 where no hole is seen, or nothing is.
    """
    code = torch.zeros_like(batch.index)
    holes, frames = torch.zeros_like(code), torch.zeros_like(code)
    for place, observed in enumerate(batch.observed.values()):
        length = span(observed)
        code += observed.any(dim=1).long() << place
        frames += length
        holes += length - observed.sum(dim=1)
    return code, holes / frames.clamp(min=1)


def span(observed: Bool[Tensor, "batch time"]) -> Int64[Tensor, " batch"]:
    """Frames from the first to the last observed one, both counted; 0 where none is observed."""
    frame = torch.arange(observed.shape[1], device=observed.device)
    end = torch.where(observed, frame + 1, 0).amax(dim=1)  # just behind the last observed frame
    return end - torch.where(observed, frame, end.unsqueeze(1)).amin(dim=1)


def subset(code: int, modalities: Sequence[Modality]) -> str:
    """The modalities of a code, joined by +: bit 0 stands for the first of them, in the recipe's order."""
    return "+".join(m for place, m in enumerate(modalities) if code >> place & 1)
