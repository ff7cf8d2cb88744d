"""Each modality's sequence taken apart into a private and a shared part, and put together again (DMD, section 3.1)."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmsa_core.components import Context
from mmsa_core.recording import symbolic
from mmsa_core.types import Encoded, Modality
from mmsa_dmd.heads import Linears
from mmsa_dmd.stacked import Stacked


@dataclass(frozen=True)
class Parts:
    """See `outputs.Disentangled`."""

    private: Stacked
    shared: Stacked
    reconstruction: Stacked
    private_again: Stacked


class Decoupling(nn.Module):
    r"""Linear maps of every frame, without bias (the published convolutions have kernel 1).

    .. math:: s_m = E^{prt}_m(x_m), \quad c_m = E^{com}(x_m), \quad \hat x_m = D_m([s_m; c_m]), \quad
              \hat s_m = E^{prt}_m(\hat x_m)

    A frame that is not there is zero in each.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.modalities, dim = tuple(context.channels), context.dim
        self.private = Linears(len(self.modalities), dim, dim, bias=False)
        self.shared = nn.Linear(dim, dim, bias=False)
        self.decoder = Linears(len(self.modalities), 2 * dim, dim, bias=False)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Parts:
        groups = of_one_length({m: encoded[m].sequence.shape[1] for m in self.modalities})
        parts = {tuple(members): self._group(members, encoded) for members in groups}
        kinds = zip(*parts.values(), strict=True)
        return Parts(*(Stacked(self.modalities, dict(zip(parts, kind, strict=True))) for kind in kinds))

    def _group(self, members: Sequence[Modality], encoded: Mapping[Modality, Encoded]) -> tuple[Tensor, ...]:
        """The four parts of modalities of equal length [batch, members, time, dim]."""
        x = torch.stack([encoded[m].sequence for m in members])
        shape, rows = x.shape, [self.modalities.index(m) for m in members]
        x = x.flatten(1, 2)
        every = len(rows) == len(self.modalities)
        private_weight, decoder = (w if every else w[rows] for w in (self.private.weight, self.decoder.weight))
        private, shared = torch.bmm(x, private_weight), self.shared(x)
        reconstruction = torch.bmm(torch.cat([private, shared], dim=2), decoder)
        again = torch.bmm(reconstruction, private_weight)
        return tuple(t.view(shape).transpose(0, 1) for t in (private, shared, reconstruction, again))


def of_one_length(lengths: Mapping[Modality, int]) -> list[list[Modality]]:
    """The modalities in groups of equal length; one whose length is open in an exported graph is by itself."""
    groups: dict[Hashable, list[Modality]] = {}
    for m, time in lengths.items():
        groups.setdefault(m if symbolic(time) else time, []).append(m)
    return list(groups.values())
