"""Category-guided prototype distillation (CPD) of CorrKD (Li et al., CVPR 2024, arXiv 2404.16456).

Symbols: H = joint representation, s = student, t = teacher, c_k = prototype of class k, M_k(i) =
similarity of sample i to c_k, B_k = samples of class k, N = samples of the batch, K = classes.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs


def membership(category: Int64[Tensor, "batch groups"], classes: int) -> Bool[Tensor, "batch group_classes"]:
    """Tell which classes each sample belongs to.

    With several groups of classes (one for each of several binary labels) every (group, class) is a
    class of its own; `IGNORE` belongs to none.
    """
    return (category.unsqueeze(-1) == torch.arange(classes, device=category.device)).flatten(1)


def prototypes(
    h: Float[Tensor, "batch joint"], member: Bool[Tensor, "batch classes"]
) -> Float[Tensor, "classes joint"]:
    r""":math:`c_k = \frac1{|B_k|} \sum_{S_i \in B_k} H_i`; zero for a class that the batch lacks."""
    member = member.to(h.dtype)
    return member.T @ h / member.sum(dim=0).clamp(min=1).unsqueeze(1)


def similarities(h: Float[Tensor, "batch joint"], c: Float[Tensor, "classes joint"]) -> Float[Tensor, "batch classes"]:
    r""":math:`M_k(i) = H_i c_k^T / (\|H_i\|_2 \|c_k\|_2)`; zero where either vector is."""
    return _direction(h) @ _direction(c).T


def category_prototype(
    m_s: Float[Tensor, "batch classes"], m_t: Float[Tensor, "batch classes"], classes: int | Float[Tensor, ""]
) -> Float[Tensor, ""]:
    r"""Compare the similarities over K classes.

    .. math:: L_{CPD} = \frac1{NK} \sum_{i=1}^N \sum_{k=1}^K \|M^s_k(i) - M^t_k(i)\|_2

    The norm of a number is its absolute value. A class that the batch lacks adds nothing to the sum. Zero without a
    sample.
    """
    return (m_s - m_t).abs().sum() / (max(len(m_s), 1) * classes)


def _direction(x: Float[Tensor, "rows joint"]) -> Float[Tensor, "rows joint"]:
    """Scale every row to length one.

    A zero row stays zero with a zero gradient; dividing by a small epsilon instead would multiply its
    gradient by 1 / epsilon.
    """
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return torch.where(length > 0, x / torch.where(length > 0, length, 1), 0)


class CategoryPrototype(Distiller):
    """CPD on the joint representations, each network with the prototypes of its own batch.

    Every sample is a row i, those without a class too: only membership of a prototype needs a label.
    The classes are the task's categories.
    """

    targets: ClassVar[bool] = True

    class Config(DistillerConfig):
        absent: Literal["skip", "zero"] = "skip"
        """A class that the batch lacks: `skip` divides by the classes present, `zero` by all classes. The
        paper's K is read as the former, what it does with an absent class is not stated; our default."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.task, self.skip = context.task, config.absent == "skip"

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        member = membership(self.task.categories(batch.target), self.task.class_count)
        h_s, h_t = student.joint, teacher.joint.detach()
        m_s, m_t = similarities(h_s, prototypes(h_s, member)), similarities(h_t, prototypes(h_t, member))
        present = member.any(dim=0).to(h_s.dtype).sum()
        self.observe(class_coverage=present / member.shape[1])
        return category_prototype(m_s, m_t, present.clamp(min=1) if self.skip else member.shape[1])
