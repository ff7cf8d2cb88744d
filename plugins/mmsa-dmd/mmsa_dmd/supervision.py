"""Branch supervision of DMD: every branch predicts the target by itself (the code's seven extra task losses)."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.tasks.base import IGNORE
from mmsa_core.types import Batch, Outputs
from mmsa_dmd.outputs import Decoupled


class BranchSupervision(Distiller):
    r"""The task's loss of each homogeneous, each heterogeneous and the shared branch, summed.

    .. math:: L = \sum_m \ell(f^{homo}_m, y) + \sum_m \ell(f^{hetero}_m, y) + \ell(f_c, y)

    A modality's branches learn from the samples that have it.
    """

    reads: ClassVar[type[Outputs]] = Decoupled
    needs_teacher: ClassVar[bool] = False
    representations: ClassVar[bool] = False
    targets: ClassVar[bool] = True

    def __init__(self, config: DistillerConfig, context: Context) -> None:
        super().__init__(config, context)
        self.task = context.task

    def forward(self, student: Decoupled, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        nodes = [*student.homogeneous.values(), *student.heterogeneous.values()]
        logits = torch.stack([*(node.logits for node in nodes), student.shared_logits])
        present = student.present.T
        present = torch.cat([present, present, torch.ones_like(present[:1])])
        counted = present & (self.task.categories(batch.target) != IGNORE).any(dim=1)
        target = batch.target.expand(len(logits), *batch.target.shape).flatten(0, 1)
        each = self.task.each(logits.flatten(0, 1), target).view(counted.shape)
        return (each.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1).clamp(min=1)).sum()
