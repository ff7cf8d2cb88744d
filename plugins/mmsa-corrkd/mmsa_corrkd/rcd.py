"""Response-decoupled consistency distillation (RCD) of CorrKD (Li et al., CVPR 2024, arXiv 2404.16456).

Symbols: R = response (softmax of the logits), s = student, t = teacher, R_T = its target part, R_NT =
its non-target part, I = mutual information, T = critic, N = samples of the batch, K = classes.
"""

import logging
from collections.abc import Iterator, Mapping
from math import log
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from mmsa_core.components import Context, Distiller, DistillerConfig, OptimizerConfig
from mmsa_core.errors import UserError
from mmsa_core.tasks import IGNORE
from mmsa_core.types import Batch, Outputs
from mmsa_corrkd.blocks import scored
from mmsa_corrkd.critic import BilinearCritic, CriticConfig, MlpCritic

INDEPENDENT = -2 * log(2)
"""The bound of a critic that is zero everywhere: what it says of independent responses."""


def split(
    logits: Float[Tensor, "*batch classes"], target: Int64[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch others"]]:
    r"""Decouple the response into the logarithms of its target and non-target part, as DKD does (arXiv 2203.08679).

    .. math:: R_T = [p_t, 1 - p_t], \qquad R_{NT} = \Big[\frac{p_k}{1 - p_t}\Big]_{k \ne t},
              \qquad p = \mathrm{softmax}(\mathrm{logits})

    The non-target part is K - 1 wide, in class order with the target taken out, so that column j is
    class j or j + 1: a zero in the target's column would tell the critic the label instead.
    """
    classes = torch.arange(logits.shape[-1] - 1, device=logits.device)
    others = logits.gather(-1, classes + (classes >= target.unsqueeze(-1)).long())
    own = logits.gather(-1, target.unsqueeze(-1))
    # From log-sum-exp, since log(1 - p_t) of a confident response is log(0) after rounding.
    binary = torch.cat([own, others.logsumexp(dim=-1, keepdim=True)], dim=-1)
    return binary.log_softmax(dim=-1), others.log_softmax(dim=-1)


def jensen_shannon(
    scores: Float[Tensor, "*groups batch batch"],
    joint: Float[Tensor, "*groups batch"],
    marginal: Float[Tensor, "*groups batch batch"],
) -> Float[Tensor, ""]:
    r"""Bound the mutual information by Jensen-Shannon (Hjelm et al., ICLR 2019, eq. 4).

    .. math:: I = E_{joint}[-\mathrm{softplus}(-T_{ii})] - E_{marginal}[\mathrm{softplus}(T_{ij})]

    `scores` is T for every pair; `joint` weighs the samples, `marginal` the pairs. Zero without a pair.
    """
    # logsigmoid(x) is -softplus(-x), without the threshold beyond which torch's softplus returns x.
    agree = F.logsigmoid(scores.diagonal(dim1=-2, dim2=-1))
    differ = F.logsigmoid(-scores)
    bound = (joint * agree).sum() / joint.sum().clamp(min=1) + (marginal * differ).sum() / marginal.sum().clamp(min=1)
    return bound * (marginal.sum() > 0)


def negatives(kind: Literal["others", "next", "all"], samples: int, device: torch.device) -> Bool[Tensor, "n n"]:
    """Which pairs (teacher i, student j) stand for the product of the marginals."""
    own = torch.eye(samples, dtype=torch.bool, device=device)
    if kind == "all":
        return torch.ones_like(own)
    return ~own if kind == "others" else own.roll(-1, dims=1) & ~own


class CriticOptimizer(OptimizerConfig):
    """How the critics are trained."""

    lr: PositiveFloat = 1e-2
    """Learning rate. Not stated in the paper; our default: with the model's rate a critic stays at its
    start value of -2 ln 2, and the term is dead."""


class ResponseConsistency(Distiller):
    """RCD on the class responses; one critic for each part, which all groups of classes share.

    A sample without a class (`IGNORE`) takes part in no pair. With two classes the non-target part is
    the constant 1, carries nothing and is left out. The bound rewards any dependence, not agreement.
    """

    responses: ClassVar[bool] = True
    targets: ClassVar[bool] = True
    representations: ClassVar[bool] = False

    class Config(DistillerConfig):
        optimizer: CriticOptimizer | None = CriticOptimizer()
        """How the critics are trained; null: as the student. Not stated in the paper; our default."""
        temperature: PositiveFloat = 1.0
        """Of the softmax. The paper has none; 1 is as written."""
        critic: CriticConfig = CriticConfig()
        """The network T. Its shape is not stated in the paper; our default."""
        negatives: Literal["others", "next", "all"] = "others"
        """Pairs for the marginals: each response with every other sample's, with that of the next sample
        of the (shuffled) batch, or with every one, its own included. Not stated in the paper; our default."""
        target: NonNegativeFloat = 1.0
        """Factor of the target part; 0 leaves it out."""
        nontarget: NonNegativeFloat = 1.0
        """Factor of the non-target part; 0 leaves it out."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.task, self.temperature, self.negatives = context.task, config.temperature, config.negatives
        widths = {"target": 2, "nontarget": self.task.class_count - 1}
        if widths["nontarget"] == 1 and config.nontarget > 0:
            logging.getLogger("mmsa").warning(
                "corrkd.rcd: with 2 classes the non-target response is the constant 1, so that part is left out. "
                "Set task.classes to 3 or more, or this distiller's nontarget to 0."
            )
        factors = {"target": config.target, "nontarget": config.nontarget}
        self.factors = {part: factors[part] for part in factors if factors[part] > 0 and widths[part] > 1}
        if not self.factors:
            raise UserError(
                f"corrkd.rcd: with {self.task.class_count} classes, target: {config.target:g} and nontarget: "
                f"{config.nontarget:g} no part is left. Set a factor above 0, or remove this distiller."
            )
        self.critics = nn.ModuleDict({part: config.critic.build(widths[part]) for part in self.factors})

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        r""":math:`L_{RCD} = -I(R^t_T, R^s_T) - I(R^t_{NT}, R^s_{NT})`."""
        category = self.task.categories(batch.target)
        r_s, r_t = self._parts(student.logits, category), self._parts(teacher.logits.detach(), category)
        known = (category != IGNORE).T.to(student.logits.dtype)
        marginal = known.unsqueeze(2) * known.unsqueeze(1) * negatives(self.negatives, len(category), category.device)
        bounds = {
            part: jensen_shannon(scored(critic, r_t[part], r_s[part], critic.numbers), known, marginal)
            for part, critic in self._critics()
        }
        pairs = self.negatives == "all" or len(category) > 1
        self.observe(**{f"bound_{part}": bound for part, bound in bounds.items() if pairs})
        return -torch.stack([factor * bounds[part] for part, factor in self.factors.items()]).sum()

    def _critics(self) -> Iterator[tuple[str, MlpCritic | BilinearCritic]]:
        for part in self.factors:
            critic = self.critics[part]
            assert isinstance(critic, MlpCritic | BilinearCritic)
            yield part, critic

    def _parts(
        self, logits: Float[Tensor, "batch width"], category: Int64[Tensor, "batch groups"]
    ) -> dict[str, Float[Tensor, "groups batch _part"]]:
        responses = self.task.responses(logits / self.temperature).transpose(0, 1)
        binary, nontarget = split(responses, category.T.clamp(min=0))  # IGNORE: any class, its weight is zero
        return {"target": binary.exp(), "nontarget": nontarget.exp()}

    def diagnose(self, means: Mapping[str, float]) -> str | None:
        dead = [part for part in self.factors if abs(means.get(f"bound_{part}", 0.0) - INDEPENDENT) < 0.02]
        if not dead:
            return None
        return (
            f"the bound of the {' and the '.join(dead)} part is still at its start, -2 ln 2: these responses are "
            "independent, or the critic has learned nothing; raise optimizer.lr of this term, or use negatives: others"
        )
