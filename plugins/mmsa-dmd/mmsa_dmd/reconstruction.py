"""Reconstruction and cycle consistency of DMD's decoupling (Li et al., CVPR 2023; the cycle as in the code)."""

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs
from mmsa_dmd.outputs import Disentangled, steps


def squared_error(
    found: Float[Tensor, "batch steps dim"],
    wanted: Float[Tensor, "batch steps dim"],
    share: Float[Tensor, "batch steps"],
) -> Float[Tensor, ""]:
    """Squared difference, mean over the channels, summed over the steps by their share."""
    return ((found - wanted).square().mean(dim=2) * share).sum()


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
        names, share = steps(student)
        x = torch.cat([student.encoded[m].sequence for m in names], dim=1)
        found, private, again = (
            torch.cat([part[m] for m in names], dim=1)
            for part in (student.reconstruction, student.private, student.private_again)
        )
        reconstruction, cycle = squared_error(found, x, share), squared_error(again, private, share)
        self.observe(reconstruction=reconstruction, cycle=cycle)
        return reconstruction + self.cycle * cycle
