"""Leaves one drawn subset of the modalities: inter-modality missingness as in CorrKD (CVPR 2024) and CMAD."""

from itertools import combinations
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, field_validator

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.errors import UserError
from mmsa_core.missing import Draw
from mmsa_core.types import Batch, Modality

Names = frozenset[Modality]


class Subset(Masker):
    """Draws for each sample the modalities that it keeps.

    Only subsets that share a modality with what the sample has are drawn, so a sample that has
    something keeps something; one for which no such subset has weight keeps what it has.
    """

    class Config(ComponentConfig):
        weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)] | None = None
        """Weight of each subset, as `text+audio: 3`; those not named are never drawn. By default all
        2^M - 1 non-empty subsets are equally likely."""

        @field_validator("weights")
        @classmethod
        def _drawable(cls, weights: dict[str, float] | None) -> dict[str, float] | None:
            if weights is not None and not any(weights.values()):
                raise ValueError("every subset has weight 0; give at least one a positive weight")
            sets = [parse(key) for key in weights or ()]
            twice = [key for key, names in zip(weights or (), sets, strict=True) if sets.count(names) > 1]
            if twice:
                raise ValueError(f"{' and '.join(map(repr, twice))} are the same subset; name it once")
            return weights

    config: Config

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        modalities = sorted(batch.observed)  # the draw must not depend on the order of the modalities
        weights = self._weights(modalities)
        kept = torch.tensor([[m in names for m in modalities] for names in weights], device=batch.key.device)
        weight = torch.tensor(list(weights.values()), device=batch.key.device)
        present = torch.stack([batch.present(m) for m in modalities], dim=1)
        feasible = (present.unsqueeze(1) & kept).any(dim=2)
        bound = torch.where(feasible, weight, 0.0).cumsum(dim=1)
        total = bound[:, -1:]
        number = draw.samples(batch.key, "subset").unsqueeze(1)
        # The first subset whose bound lies above; rounding may put the number on the last bound.
        index = (bound <= number * total).sum(dim=1).minimum((bound < total).sum(dim=1))
        survives = kept[index] | (total == 0)
        return batch.hide({m: ~survives[:, i : i + 1].expand_as(batch.observed[m]) for i, m in enumerate(modalities)})

    def _weights(self, modalities: list[Modality]) -> dict[Names, float]:
        """The weight of each subset, in an order that depends on the names alone."""
        if self.config.weights is None:
            sizes = range(1, len(modalities) + 1)
            return {frozenset(names): 1.0 for size in sizes for names in combinations(modalities, size)}
        weights = {parse(key): weight for key, weight in self.config.weights.items()}
        unknown = sorted(frozenset().union(*weights) - set(modalities))
        if unknown:
            raise UserError(
                f"masker 'subset': weights name {', '.join(map(repr, unknown))}, but the data have "
                f"{', '.join(modalities)}. Write subsets such as '{'+'.join(modalities[:2])}'."
            )
        return dict(sorted(weights.items(), key=lambda item: sorted(item[0])))


def parse(key: str) -> Names:
    """The modalities of `text+audio`."""
    return frozenset(name.strip() for name in key.split("+"))
