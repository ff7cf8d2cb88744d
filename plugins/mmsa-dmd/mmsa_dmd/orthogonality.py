"""Soft orthogonality of DMD's private and shared parts (Li et al., CVPR 2023, section 3.1)."""

from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs
from mmsa_dmd.cosine import unit
from mmsa_dmd.outputs import Disentangled, shares
from mmsa_dmd.stacked import added, matched


def overlap(
    s: Float[Tensor, "batch *members time dim"], c: Float[Tensor, "batch *members time dim"], axis: int
) -> Float[Tensor, "..."]:
    """The positive part of the cosine along an axis."""
    return (unit(s, axis) * unit(c, axis)).sum(dim=axis).relu()


class Orthogonality(Distiller):
    r"""A frame's private part shall not point where its shared part points: :math:`\sum_m E[\max(0, \cos(s_m, c_m))]`.

    `axis: batch` is what the published code does under torch 1.9: its loss takes the cosine of each channel
    over the samples of the batch. That is a slip, and it makes the term depend on the batch size; for comparison only.
    """

    reads: ClassVar[type[Outputs]] = Disentangled
    needs_teacher: ClassVar[bool] = False
    representations: ClassVar[bool] = False

    class Config(DistillerConfig):
        axis: Literal["frame", "batch"] = "frame"
        """Cosine of the channels of each frame, or of the samples of each channel (the published slip)."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.framewise = config.axis == "frame"

    def forward(self, student: Disentangled, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        if not self.framewise:
            return added([overlap(s, student.shared[m], 0).mean() for m, s in student.private.items()])
        return added(
            [
                (overlap(s, c, 3) * shares(student, members)).sum()
                for members, (s, c) in matched(student.private, student.shared)
            ]
        )
