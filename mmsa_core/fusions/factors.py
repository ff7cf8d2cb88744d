"""What tensor fusion multiplies: each modality as a vector [1; z_m]."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.types import Encoded, Modality


class Factors(nn.Module):
    """Projects each pooled modality to z_m and puts a 1 before it; an absent modality is [1; 0]."""

    def __init__(self, modalities: Sequence[Modality], dim: int, width: int) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.project = nn.ModuleList(nn.Linear(dim, width) for _ in self.modalities)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> list[Float[Tensor, "batch factor"]]:
        found = []
        for m, project in zip(self.modalities, self.project, strict=True):
            z = project(encoded[m].pooled).relu().masked_fill(~encoded[m].present.unsqueeze(1), 0.0)
            found.append(nn.functional.pad(z, (1, 0), value=1.0))
        return found
