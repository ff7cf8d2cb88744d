"""Similarity distillation (CompRess, Abbasi Koohpayegani et al., NeurIPS 2020, https://arxiv.org/abs/2010.14713).

Symbols: h = joint representation, s = student, t = teacher, i and j = samples, N = their number, tau = temperature.
The paper compares a sample with a queue of earlier ones; here with those of its batch, itself included.
"""

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import PositiveFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs


def log_similarities(h: Float[Tensor, "batch width"], tau: float) -> Float[Tensor, "batch batch"]:
    r"""Logarithm of how much each sample resembles each other one.

    .. math:: p_{ij} = \mathrm{softmax}_j \big(\cos(h_i, h_j) / \tau\big)
    """
    unit = F.normalize(h, dim=1)
    return F.log_softmax(unit @ unit.T / tau, dim=1)  # not log of softmax, which may be log of zero


def similarity_distillation(
    h_s: Float[Tensor, "batch student"], h_t: Float[Tensor, "batch teacher"], tau: float
) -> Float[Tensor, ""]:
    r"""The student ranks the neighbours of a sample as the teacher does; their widths may differ.

    .. math:: L = \frac1N \sum_{i=1}^N \mathrm{KL}\big(p^t_i \,\|\, p^s_i\big)
    """
    log_s, log_t = log_similarities(h_s, tau), log_similarities(h_t, tau)
    divergence = F.kl_div(log_s, log_t, log_target=True, reduction="sum")
    return divergence / max(1, len(log_s))  # a batch of no sample costs nothing


class SimilarityDistillation(Distiller):
    """Samples that are alike to the teacher become alike to the student."""

    class Config(DistillerConfig):
        temperature: PositiveFloat = 0.1
        """tau; a lower one looks at the nearest neighbours alone. Our default."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.temperature = config.temperature

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        return similarity_distillation(student.joint, teacher.joint.detach(), self.temperature)
