"""Reconstruction and cycle consistency of DMD's decoupling (Li et al., CVPR 2023; the cycle as in the code)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs
from mmsa_dmd.outputs import Disentangled, shares
from mmsa_dmd.stacked import added, matched


def squared_error(
    found: Float[Tensor, "batch members time dim"],
    wanted: Float[Tensor, "batch members time dim"],
    share: Float[Tensor, "batch members time"],
) -> Float[Tensor, ""]:
    """Squared difference, mean over the channels, summed over the steps by their share."""
    return (F.mse_loss(found, wanted, reduction="none").mean(dim=3) * share).sum()


class Reconstruction(Distiller):
    r"""Private and shared part together give the sequence back, and what is given back has the same private part.

    .. math:: L = \sum_m \mathrm{MSE}(\hat x_m, x_m) + \lambda \sum_m \mathrm{MSE}(\hat s_m, s_m)

    Both sides learn, as published. Steps that are not there do not count (the published code counts padding, as zeros).
    """

    reads: ClassVar[type[Outputs]] = Disentangled
    needs_teacher: ClassVar[bool] = False
    representations: ClassVar[bool] = False

    class Config(DistillerConfig):
        cycle: NonNegativeFloat = 1.0
        """Factor of the cycle consistency, which the description does not mention."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.cycle = config.cycle

    def forward(self, student: Disentangled, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        x = {m: student.encoded[m].sequence for m in student.private}
        reconstruction, cycle = [], []
        for members, (found, private, again) in matched(student.reconstruction, student.private, student.private_again):
            share = shares(student, members)
            reconstruction.append(squared_error(found, torch.stack([x[m] for m in members], dim=1), share))
            cycle.append(squared_error(again, private, share))
        total = {"reconstruction": added(reconstruction), "cycle": added(cycle)}
        self.observe(**total)
        return torch.add(total["reconstruction"], total["cycle"], alpha=self.cycle)
