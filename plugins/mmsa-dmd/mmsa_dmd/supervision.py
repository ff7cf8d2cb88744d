"""Branch supervision of DMD: every branch predicts the target by itself (the code's seven extra task losses)."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.tasks.base import IGNORE
from mmsa_core.types import Batch, Outputs
from mmsa_dmd.outputs import Decoupled, nodes_of


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
        names = tuple(student.encoded)
        low, high = (nodes_of(nodes, names).logits for nodes in (student.homogeneous, student.heterogeneous))
        logits = torch.cat([low, high, student.shared_logits.unsqueeze(1)], dim=1)
        present = student.present
        present = torch.cat([present, present, present.new_ones(len(present), 1)], dim=1)
        counted = present & (self.task.categories(batch.target) != IGNORE).any(dim=1, keepdim=True)
        target = batch.target.unsqueeze(1).expand(-1, logits.shape[1], *batch.target.shape[1:]).flatten(0, 1)
        each = self.task.each(logits.flatten(0, 1), target).view(counted.shape)
        return (each.masked_fill(~counted, 0.0).sum(dim=0) / counted.sum(dim=0).clamp(min=1)).sum()
