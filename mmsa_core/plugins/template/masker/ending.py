"""Hides the end of a recording, as when a camera is switched off too early."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class Ending(Masker):
    r"""Each modality of each sample ends early, by a share of its length n that is drawn up to `rate`.

    .. math:: \mathrm{frame}\ t \in \{0, ..., n - 1\}\ \mathrm{is\ hidden} \iff t \ge n (1 - \mathrm{rate} \cdot u),
              \qquad u \sim U[0, 1)

    n counts the frames up to the last one that is observed. A modality of which only late frames are observed may
    be lost altogether.
    """

    class Config(ComponentConfig):
        rate: Annotated[float, Field(ge=0, le=1)] = 0.5
        """Largest share of a sequence that is lost; half of it is lost in the mean."""

    config: Config

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        drawn = {m: draw.samples(batch.key, "ending", m) for m in batch.observed}  # another number for each modality
        return batch.hide({m: after(seen, 1 - self.config.rate * drawn[m]) for m, seen in batch.observed.items()})


def after(observed: Bool[Tensor, "batch time"], share: Float[Tensor, " batch"]) -> Bool[Tensor, "batch time"]:
    """The frames behind the first `share` of each sequence; what lies behind its last observed frame has no part."""
    frame = torch.arange(observed.shape[1], device=observed.device)
    length = ((frame + 1) * observed).amax(dim=1)
    return frame >= (length * share).unsqueeze(1)
