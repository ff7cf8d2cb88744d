"""Draws how many modalities a sample has, then which ones (the scheme of IMDer, Wang et al., NeurIPS 2023)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, model_validator

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.errors import UserError
from mmsa_core.example import Example
from mmsa_core.masks.published_masks.imder import SHARES
from mmsa_core.missing import Draw
from mmsa_core.types import Batch

Weights = Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]


class Available(Masker):
    """Keeps as many modalities as the sample's draw says, and never fewer than one; all choices are equally likely.

    A sample that has fewer to begin with keeps what it has. Departure from the published code: there all samples of a
    batch lose the same, the first batches of the loader lose most, and the loader shuffles; here each sample draws by
    itself (`mmsa_core.masks.published_masks.imder` has the published schedule).
    """

    class Config(ComponentConfig):
        rate: float | None = None
        """Share of modalities that are hidden: 0, or 0.1, 0.2, ... 0.7 with the probabilities that the published code
        gives to each rate, for three modalities (its 0.7 hides 2 of 3)."""
        probabilities: Weights | None = None
        """In place of `rate`: how likely one, two, ... all modalities are left; scaled to sum to 1."""

        @model_validator(mode="after")
        def _one(self) -> "Available.Config":
            if (self.rate is None) == (self.probabilities is None):
                raise ValueError("give either rate or probabilities, for example rate: 0.3")
            if self.rate is not None and self.rate not in SHARES:
                known = ", ".join(f"{rate:g}" for rate in SHARES)
                raise ValueError(f"rate {self.rate:g} is not in the published table ({known}); give probabilities")
            if self.probabilities is not None and not any(self.probabilities):
                raise ValueError("every probability is 0; give at least one a positive value")
            return self

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"rate": 0.4}, modalities=(3,)), Example({"probabilities": [1, 2]}, modalities=(2,))]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        modalities = sorted(batch.observed)  # the draw must not depend on the order of the modalities
        weights = self._weights(len(modalities))
        bound = torch.tensor(weights, device=batch.key.device).cumsum(dim=0)
        level = draw.samples(batch.key, "available").unsqueeze(1) * bound[-1]
        # The first count whose bound lies above; rounding may put the level on the last bound.
        count = 1 + (bound <= level).sum(dim=1).minimum((bound < bound[-1]).sum())
        present = torch.stack([batch.present(m) for m in modalities], dim=1)
        number = torch.stack([draw.samples(batch.key, "available", m) for m in modalities], dim=1)
        rank = number.masked_fill(~present, -1.0).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        hidden = rank >= count.unsqueeze(1)
        return batch.hide({m: hidden[:, i : i + 1].expand_as(batch.observed[m]) for i, m in enumerate(modalities)})

    def _weights(self, modalities: int) -> tuple[float, ...]:
        weights = self.config.probabilities or SHARES[self.config.rate or 0.0]
        if len(weights) != modalities:
            kind = "probabilities" if self.config.probabilities else "the published table of rates"
            raise UserError(
                f"masker 'available': {kind} has {len(weights)} values, and the data have {modalities} modalities; "
                f"give probabilities with {modalities} values, for having 1 to {modalities} of them"
            )
        return weights
