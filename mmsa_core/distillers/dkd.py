"""Decoupled knowledge distillation (DKD, Zhao et al., CVPR 2022, https://arxiv.org/abs/2203.08679).

Symbols: z = logits, p = softmax(z / T), t = target class, s / t as index = student / teacher.
The published training script raises the term's weight over the first epochs; a constant weight
stands in the recipe here.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.tasks import IGNORE
from mmsa_core.types import Batch, Outputs


def target_part(
    z_s: Float[Tensor, "responses classes"],
    z_t: Float[Tensor, "responses classes"],
    target: Int64[Tensor, " responses"],
    temperature: float,
) -> Float[Tensor, " responses"]:
    r"""TCKD, the divergence of target against all other classes (equation 5).

    .. math:: T^2 \Big[ p_t^{\mathcal T} \log \frac{p_t^{\mathcal T}}{p_t^{\mathcal S}}
              + (1 - p_t^{\mathcal T}) \log \frac{1 - p_t^{\mathcal T}}{1 - p_t^{\mathcal S}} \Big]

    Both probabilities are sigmoids of the target's log-odds, so neither logarithm can reach log 0
    (the published code takes it of sums of probabilities and gives inf on confident responses).
    """
    o_s, o_t = log_odds(z_s / temperature, target), log_odds(z_t / temperature, target)
    own = o_t.sigmoid() * (F.logsigmoid(o_t) - F.logsigmoid(o_s))
    rest = (-o_t).sigmoid() * (F.logsigmoid(-o_t) - F.logsigmoid(-o_s))
    return temperature**2 * (own + rest)


def nontarget_part(
    z_s: Float[Tensor, "responses classes"],
    z_t: Float[Tensor, "responses classes"],
    target: Int64[Tensor, " responses"],
    temperature: float,
) -> Float[Tensor, " responses"]:
    r"""NCKD, the divergence among the other classes, renormalised (equation 5); zero with two classes.

    .. math:: T^2 \sum_{i \ne t} \hat p_i^{\mathcal T} \log (\hat p_i^{\mathcal T} / \hat p_i^{\mathcal S})
    """
    log_s = F.log_softmax(others(z_s, target) / temperature, dim=1)
    log_t = F.log_softmax(others(z_t, target) / temperature, dim=1)
    return temperature**2 * F.kl_div(log_s, log_t, log_target=True, reduction="none").sum(dim=1)


def log_odds(z: Float[Tensor, "responses classes"], target: Int64[Tensor, " responses"]) -> Float[Tensor, " responses"]:
    r"""Compute :math:`\log \frac{p_t}{1 - p_t}`."""
    return z.gather(1, target.unsqueeze(1))[:, 0] - others(z, target).logsumexp(dim=1)


def others(
    z: Float[Tensor, "responses classes"], target: Int64[Tensor, " responses"]
) -> Float[Tensor, "responses rest"]:
    """Leave out the target's logit (instead of writing -inf in its place, which makes NaN gradients)."""
    count = z.shape[1]
    step = torch.arange(1, count, device=z.device)
    return z.gather(1, (target.unsqueeze(1) + step) % count)


class DecoupledDistillation(Distiller):
    r"""The mean over the responses that have a category of :math:`\alpha\,TCKD + \beta\,NCKD` (equation 7)."""

    responses: ClassVar[bool] = True
    targets: ClassVar[bool] = True
    representations: ClassVar[bool] = False

    class Config(DistillerConfig):
        alpha: NonNegativeFloat = 1.0
        """Weight of the target part."""
        beta: NonNegativeFloat = 8.0
        """Weight of the non-target part: 8 for CIFAR-100 in the paper, where the best value grows with the margin
        between the teacher's target logit and the others."""
        temperature: Annotated[float, Field(gt=0, le=1e6)] = 4.0
        """T; 4 in the paper."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.task = context.task
        self.alpha, self.beta, self.temperature = config.alpha, config.beta, config.temperature

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        z_s = self.task.responses(student.logits).flatten(0, 1)
        z_t = self.task.responses(teacher.logits.detach()).flatten(0, 1)
        category = self.task.categories(batch.target).flatten()
        ignored = category == IGNORE
        category, count = category.masked_fill(ignored, 0), (~ignored).sum().clamp(min=1)
        target = target_part(z_s, z_t, category, self.temperature).masked_fill(ignored, 0.0).sum() / count
        nontarget = nontarget_part(z_s, z_t, category, self.temperature).masked_fill(ignored, 0.0).sum() / count
        self.observe(target=target, nontarget=nontarget)
        return self.alpha * target + self.beta * nontarget

    def diagnose(self, means: Mapping[str, float]) -> str | None:
        if self.task.class_count > 2:
            return None
        return "with 2 classes the non-target part of DKD is always 0, which leaves alpha times plain kd"
