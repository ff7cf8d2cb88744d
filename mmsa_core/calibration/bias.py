"""The bias and the temperature of one group of answers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.calibration.evidence import Evidence
from mmsa_core.calibration.margins import decisions
from mmsa_core.tasks import IGNORE, Classification, TaskBase

Rule = Literal["midpoint", "share", "likelihood"]
NUDGE = 0.01
"""Margin, on the side of the more frequent answer, of answers that do not differ from each other."""
EQUAL = 1e-5
"""Margins that differ by less are equal."""


@dataclass(frozen=True)
class Bias:
    """What is added for each decision, after logits were divided by the temperature."""

    values: tuple[float, ...]
    temperature: float
    clips: int
    """Samples that it was fitted on."""
    answers: int
    """Their answers, each through another mask."""


def rules(task: TaskBase) -> tuple[Rule, ...]:
    """The rules that can find a bias of the task; which is better depends on how even the labels are."""
    return ("likelihood",) if isinstance(task, Classification) else ("midpoint", "share")


def fitted(evidence: Evidence, rule: Rule, parent: Bias | None, lean: int, temperature: bool) -> Bias:
    """The bias of some answers, drawn towards the parent's as if that were another `lean` clips.

    Where the answers say nothing about a decision (all of them should be positive, or none) the parent's stands.
    """
    clips = evidence.clips
    own = clips / (clips + lean) if parent is not None else 1.0
    heat = warmth(evidence) ** own if temperature else 1.0
    heat *= parent.temperature ** (1 - own) if parent is not None else 1.0
    seen = evidence.at(heat)
    found = likeliest(seen) if rule == "likelihood" else [RULES[rule](*each) for each in seen.decided()]
    above = parent.values if parent is not None else (0.0,) * len(decisions(evidence.task))
    values = [b if a is None else own * a + (1 - own) * b for a, b in zip(found, above, strict=True)]
    return Bias(tuple(values), heat, clips, len(evidence))


def midpoint(margin: Float[Tensor, " rows"], sign: Bool[Tensor, " rows"]) -> float | None:
    """Minus the point halfway between the mean margins of the negative and of the positive samples.

    There a linear discriminant divides two classes of equal weight and spread.
    """
    if not sign.any() or sign.all():
        return None
    if margin.max() - margin.min() < EQUAL:  # as where nothing is seen
        return majority(margin, sign)
    return -(margin[sign].mean() + margin[~sign].mean()).item() / 2


def share(margin: Float[Tensor, " rows"], sign: Bool[Tensor, " rows"]) -> float | None:
    """Minus the point above which lies a share of the margins as near as can be to the share of positive samples."""
    if not sign.any() or sign.all():
        return None
    values = margin.sort().values
    if values[-1] - values[0] < EQUAL:
        return majority(margin, sign)
    above = torch.arange(len(values) - 1, 0, -1)  # how many lie above each gap between neighbours
    far = torch.where(values[1:] > values[:-1], (above - sign.sum()).abs(), len(values))
    gap = int(far.argmin())
    return -(values[gap] + values[gap + 1]).item() / 2


def majority(margin: Float[Tensor, " rows"], sign: Bool[Tensor, " rows"]) -> float:
    """What takes equal answers to the side of the more frequent label, and hardly further."""
    return (NUDGE if 2 * int(sign.sum()) >= len(sign) else -NUDGE) - margin.mean().item()


RULES: Mapping[str, Callable[[Tensor, Tensor], float | None]] = {"midpoint": midpoint, "share": share}


def likeliest(evidence: Evidence) -> list[float | None]:
    """A bias for each class: of least cross-entropy, and of mean zero; a class that never occurs stays finite.

    The weight of a Gaussian prior is that of one answer.
    """
    label = evidence.task.categories(evidence.target)[:, 0]
    logits = evidence.logits.double()

    def loss(bias: Tensor) -> Tensor:
        return F.cross_entropy(logits + bias, label) + bias.square().sum() / (2 * len(label))

    bias = minimised(loss, logits.new_zeros(logits.shape[1]))
    return list((bias - bias.mean()).tolist())


def warmth(evidence: Evidence) -> float:
    """The temperature of least cross-entropy of the task's class distributions (Guo et al., ICML 2017).

    A Gaussian prior on its logarithm, of one answer's weight, keeps it finite.
    """
    responses = evidence.task.responses(evidence.logits.double()).flatten(0, 1)
    category = evidence.task.categories(evidence.target).flatten()
    if (category == IGNORE).all():
        return 1.0

    def loss(log: Tensor) -> Tensor:
        entropy = F.cross_entropy(responses * (-log).exp(), category, ignore_index=IGNORE)
        return entropy + log.square() / (2 * len(category))

    return math.exp(minimised(loss, responses.new_zeros(())).item())


def minimised(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Where a smooth convex function is least."""
    x = start.clone().requires_grad_()
    steps = torch.optim.LBFGS([x], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        steps.zero_grad()
        value = loss(x)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    steps.step(closure)  # type: ignore[no-untyped-call]
    return x.detach()
