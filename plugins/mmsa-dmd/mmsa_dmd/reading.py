"""How the heads of one modality read its sequence: all of it, with a length that is baked in, or its mean."""

from dataclasses import replace

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.encoders import masked
from mmsa_core.errors import UserError
from mmsa_core.types import Encoded, Modality


class Flatten:
    """All steps side by side, time first (as published), so that the length is baked into the head."""

    def __init__(self, modality: Modality, length: int, dim: int) -> None:
        self.modality, self.length, self.wide = modality, length, length * dim

    def fitted(self, encoded: Encoded) -> Encoded:
        """With frames that are not there behind the last one, up to the length that the head was built for."""
        more = self.length - encoded.sequence.shape[1]
        if more < 0:
            raise UserError(
                f"fusion 'dmd.decoupled' was built for {self.length} steps of '{self.modality}' and got "
                f"{self.length - more}: with reading: flatten the longest sequence of its own data fixes the length. "
                "Cut the sequences, or train with model.fusion.reading: pooled, which takes any length"
            )
        if not more:
            return encoded
        sequence, observed = F.pad(encoded.sequence, (0, 0, 0, more)), F.pad(encoded.observed, (0, more))
        return replace(encoded, sequence=sequence, observed=observed)

    def __call__(self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]) -> Tensor:
        return x.flatten(1)


class Pooled:
    """The mean of the steps that are there: any length."""

    def __init__(self, dim: int) -> None:
        self.wide = dim

    def fitted(self, encoded: Encoded) -> Encoded:
        """As it is."""
        return encoded

    def __call__(self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]) -> Tensor:
        return masked.mean(x, real)


Reading = Flatten | Pooled
