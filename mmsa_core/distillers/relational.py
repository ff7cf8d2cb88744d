"""Relational knowledge distillation (RKD, Park et al., CVPR 2019, https://arxiv.org/abs/1904.05068).

Symbols: h = joint representations, s = student, t = teacher, i j k = samples of a batch.
Means over pairs and triplets of distinct samples stand for the paper's sums, so that the size of
the term does not depend on the batch; the published code also averages over i = j, which only
scales it. Equal representations have distance 0 and no direction: both are constants there.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs


def distance_wise(
    h_s: Float[Tensor, "batch student"], h_t: Float[Tensor, "batch teacher"], delta: float
) -> Float[Tensor, ""]:
    r"""RKD-D (section 3.2.1), with :math:`\mu` the mean distance of the batch and l the Huber loss.

    .. math:: l_\delta(\psi_D(h^t_i, h^t_j), \psi_D(h^s_i, h^s_j)), \quad
              \psi_D(h_i, h_j) = \lVert h_i - h_j \rVert / \mu
    """
    psi_s, psi_t = relative(distances(h_s)[0]), relative(distances(h_t)[0])
    same = torch.eye(len(h_s), dtype=torch.bool, device=h_s.device)
    return mean(F.huber_loss(psi_s, psi_t, reduction="none", delta=delta), ~same)


def angle_wise(
    h_s: Float[Tensor, "batch student"], h_t: Float[Tensor, "batch teacher"], delta: float
) -> Float[Tensor, ""]:
    r"""RKD-A (section 3.2.2): the angle at j between the directions to i and k.

    .. math:: l_\delta(\psi_A(h^t_i, h^t_j, h^t_k), \psi_A(h^s_i, h^s_j, h^s_k)), \quad
              \psi_A = \langle e^{ij}, e^{kj} \rangle, \quad e^{ij} = (h_i - h_j) / \lVert h_i - h_j \rVert
    """
    e_s, e_t = distances(h_s)[1], distances(h_t)[1]
    psi_s, psi_t = e_s @ e_s.mT, e_t @ e_t.mT  # [j, i, k]
    other = ~torch.eye(len(h_s), dtype=torch.bool, device=h_s.device)
    distinct = other.unsqueeze(2) & other.unsqueeze(1) & other.unsqueeze(0)
    return mean(F.huber_loss(psi_s, psi_t, reduction="none", delta=delta), distinct)


def distances(
    h: Float[Tensor, "batch dim"],
) -> tuple[Float[Tensor, "batch batch"], Float[Tensor, "batch batch dim"]]:
    """Lengths and directions of h_i - h_j at [j, i]; the root is not taken at 0, where its gradient is infinite."""
    difference = h.unsqueeze(0) - h.unsqueeze(1)
    squared = difference.square().sum(dim=2)
    zero = squared == 0
    length = squared.masked_fill(zero, 1.0).sqrt()
    return length.masked_fill(zero, 0.0), difference / length.unsqueeze(2)


def relative(distance: Float[Tensor, "batch batch"]) -> Float[Tensor, "batch batch"]:
    """Distances over their mean, which makes the scales of student and teacher comparable."""
    mu = mean(distance, distance > 0)
    return distance / mu.masked_fill(mu == 0, 1.0)


def mean(x: Float[Tensor, "*shape"], where: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of the entries where a mask is True; zero, with a gradient, where there is none."""
    return x.masked_fill(~where, 0.0).sum() / where.sum().clamp(min=1)


class RelationalDistillation(Distiller):
    """The distances and angles among the student's samples follow the teacher's."""

    class Config(DistillerConfig):
        distance_weight: NonNegativeFloat = 1.0
        """Weight of the distance term; the paper uses 25 with 50 for angles, or 1 with 2."""
        angle_weight: NonNegativeFloat = 2.0
        """Weight of the angle term."""
        delta: PositiveFloat = 1.0
        """Where the Huber loss turns from quadratic to linear; 1 in the paper."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.distance_weight, self.angle_weight, self.delta = config.distance_weight, config.angle_weight, config.delta

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        h_s, h_t = student.joint, teacher.joint.detach()
        distance, angle = distance_wise(h_s, h_t, self.delta), angle_wise(h_s, h_t, self.delta)
        self.observe(distance=distance, angle=angle)
        return self.distance_weight * distance + self.angle_weight * angle
