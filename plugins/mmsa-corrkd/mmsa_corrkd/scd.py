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
from mmsa_corrkd import blocks


def distances(h_s: Float[Tensor, "rows joint"], h_t: Float[Tensor, "batch joint"]) -> Float[Tensor, "rows batch"]:
    """D_ij = ||H^s_i - H^t_j||_2; where two representations are equal the gradient is zero.

    From the differences: torch's faster |a|^2 + |b|^2 - 2ab loses a small distance to rounding. Of half precision in
    single, which torch's distance wants.
    """
    wide = torch.promote_types(h_s.dtype, torch.float32)
    return torch.cdist(h_s.to(wide), h_t.to(wide), compute_mode="donot_use_mm_for_euclid_dist")


def others(distance: Float[Tensor, "rows batch"], first: int = 0) -> Bool[Tensor, "rows batch"]:
    """Mark the pairs j != i; the first row is sample `first`."""
    rows, batch = distance.shape
    i = torch.arange(first, first + rows, device=distance.device)
    return i.unsqueeze(1) != torch.arange(batch, device=distance.device)


def matching(distance: Float[Tensor, "rows batch"], first: int = 0) -> Float[Tensor, ""]:
    r"""Pull a sample to its own teacher: :math:`\sum_i \sum_{j \ne i} D_{ii}^2 = (N-1) \sum_i D_{ii}^2`."""
    return (distance.shape[1] - 1) * distance.diagonal(first).square().sum()


def repulsion(distance: Float[Tensor, "rows batch"], eta: float, first: int = 0) -> Float[Tensor, ""]:
    r"""Push a sample from the others' teachers: :math:`\sum_i \sum_{j \ne i} \max(0, \eta - D_{ij})^2`."""
    return ((eta - distance).relu().square() * others(distance, first)).sum()


def sample_contrastive(distance: Float[Tensor, "rows batch"], eta: float, first: int = 0) -> Float[Tensor, ""]:
    r"""Add matching and repulsion, as the paper writes the loss; of some rows i, beginning with `first`, their share.

    .. math:: L_{SCD} = \sum_{i=1}^N \sum_{j \ne i} D(H^s_i, H^t_i)^2 + \max\{0, \eta - D(H^s_i, H^t_j)\}^2

    The matching term does not depend on j, so it counts N - 1 times. A batch of one has no pair: zero.
    """
    return matching(distance, first) + repulsion(distance, eta, first)


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
        h_s, h_t = student.joint, teacher.joint.detach()
        found = blocks.summed(self._share, h_s, h_t)
        pairs = max(len(h_s) * (len(h_s) - 1), 1)
        self.observe(active_margins=found[1].detach() / pairs)
        return found[0] / pairs if self.mean else found[0]

    def _share(
        self, h_s: Float[Tensor, "rows joint"], h_t: Float[Tensor, "batch joint"], first: int
    ) -> Float[Tensor, "2"]:
        """Of some of the student's samples: their share of the loss, and how many of their margins are active."""
        d = distances(h_s, h_t)
        if self.rms:
            d = d / h_s.shape[1] ** 0.5
        active = (d < self.eta) & others(d, first)
        return torch.stack([sample_contrastive(d, self.eta, first), active.sum().to(d.dtype)])
