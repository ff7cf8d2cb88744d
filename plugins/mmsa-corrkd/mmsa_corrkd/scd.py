"""Sample-level contrastive distillation (SCD) of CorrKD (Li et al., CVPR 2024, arXiv 2404.16456).

Symbols: H^s, H^t = joint representations of student and teacher, D = their distance, eta = margin,
N = samples of the batch.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import PositiveFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs


def distances(h_s: Float[Tensor, "batch joint"], h_t: Float[Tensor, "batch joint"]) -> Float[Tensor, "batch batch"]:
    """D_ij = ||H^s_i - H^t_j||_2; where two representations are equal the gradient is zero.

    From the differences: torch's faster |a|^2 + |b|^2 - 2ab loses a small distance to rounding. Of half precision in
    single, which torch's distance wants.
    """
    wide = torch.promote_types(h_s.dtype, torch.float32)
    return torch.cdist(h_s.to(wide), h_t.to(wide), compute_mode="donot_use_mm_for_euclid_dist")


def others(distance: Float[Tensor, "batch batch"]) -> Bool[Tensor, "batch batch"]:
    """Mark the pairs j != i."""
    return ~torch.eye(len(distance), dtype=torch.bool, device=distance.device)


def matching(distance: Float[Tensor, "batch batch"]) -> Float[Tensor, ""]:
    r"""Pull a sample to its own teacher: :math:`\sum_i \sum_{j \ne i} D_{ii}^2 = (N-1) \sum_i D_{ii}^2`."""
    return (len(distance) - 1) * distance.diagonal().square().sum()


def repulsion(distance: Float[Tensor, "batch batch"], eta: float) -> Float[Tensor, ""]:
    r"""Push a sample from the others' teachers: :math:`\sum_i \sum_{j \ne i} \max(0, \eta - D_{ij})^2`."""
    return ((eta - distance).relu().square() * others(distance)).sum()


def sample_contrastive(distance: Float[Tensor, "batch batch"], eta: float) -> Float[Tensor, ""]:
    r"""Add matching and repulsion, as the paper writes the loss.

    .. math:: L_{SCD} = \sum_{i=1}^N \sum_{j \ne i} D(H^s_i, H^t_i)^2 + \max\{0, \eta - D(H^s_i, H^t_j)\}^2

    The matching term does not depend on j, so it counts N - 1 times. A batch of one has no pair: zero.
    """
    return matching(distance) + repulsion(distance, eta)


class SampleContrastive(Distiller):
    """SCD on the joint representations; by default a mean over pairs of the squared distance per feature."""

    class Config(DistillerConfig):
        eta: PositiveFloat = 1.0
        """Margin: another sample's teacher beyond this distance no longer repels. Its value is not stated
        in the paper; our default."""
        reduction: Literal["mean", "sum"] = "mean"
        """`mean` divides by the N(N-1) ordered pairs, so that the term does not grow with the batch: not
        stated in the paper; our default. `sum` is as written."""
        distance: Literal["rms", "euclidean"] = "rms"
        """`rms` divides the distance by sqrt(width), so that eta means the same at every width: not stated
        in the paper; our default. `euclidean` is as written."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.eta, self.mean, self.rms = config.eta, config.reduction == "mean", config.distance == "rms"

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        d = distances(student.joint, teacher.joint.detach())
        if self.rms:
            d = d / student.joint.shape[1] ** 0.5
        pairs = max(len(d) * (len(d) - 1), 1)
        self.observe(active_margins=((d < self.eta) & others(d)).sum() / pairs)
        loss = sample_contrastive(d, self.eta)
        return loss / pairs if self.mean else loss
