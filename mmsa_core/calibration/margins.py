"""What of a prediction decides, as one number for each decision; a bias added to it moves the decision.

A score is decided by its sign, a binary label by the difference of its two logits. Bins are tilted: b * centre is added
to the logit of each bin, and the margin is minus the b at which the expected score is zero. So calibrated logits are
logits again, and everything that reads some goes on working.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.tasks import BinaryLabels, Bins, Classification, ScoreTask, TaskBase

BISECTIONS = 60
"""Halvings of the bracket in which the tilt is looked for: as far as float64 goes."""
SURE = 20.0
"""A logit that leads by so much leaves nothing to the others."""


def decisions(task: TaskBase) -> tuple[str, ...]:
    """What a bias of the task has a number for: the score, each label, or each class."""
    if isinstance(task, BinaryLabels):
        return task.names
    return tuple(f"class {k}" for k in range(task.width)) if isinstance(task, Classification) else ("score",)


def margins(task: TaskBase, logits: Float[Tensor, "samples width"]) -> Float[Tensor, "samples decisions"]:
    """What a bias of a score or of binary labels is added to: positive, and the answer is positive."""
    x = logits.double()
    if isinstance(task, BinaryLabels):
        responses = task.responses(x)
        return responses[:, :, 1] - responses[:, :, 0]
    return -root(x, x.new_tensor(task.centres)).unsqueeze(1) if isinstance(task, Bins) else x


def positive(task: TaskBase, target: Tensor) -> tuple[Bool[Tensor, "samples decisions"], Bool[Tensor, " samples"]]:
    """Which samples are positive, and which of them the metrics look at."""
    if not isinstance(task, ScoreTask):
        return target > 0, torch.ones(len(target), dtype=torch.bool)
    counted = torch.ones_like(target, dtype=torch.bool) if task.convention == "sims" else target != 0
    return (target > 0).unsqueeze(1), counted


def moved(
    task: TaskBase, logits: Float[Tensor, "samples width"], bias: Float[Tensor, "samples decisions"]
) -> Float[Tensor, "samples width"]:
    """The logits after a bias of each sample, in the logits' own type."""
    x = logits.double()
    if isinstance(task, BinaryLabels):
        bias = torch.stack([torch.zeros_like(bias), bias], dim=2).flatten(1)
    elif isinstance(task, Bins):
        bias = bias * x.new_tensor(task.centres)
    return (x + bias).to(logits.dtype)


def root(logits: Float[Tensor, "samples bins"], centres: Float[Tensor, " bins"]) -> Float[Tensor, " samples"]:
    """The tilt b at which softmax(logits + b * centres) has mean 0; its mean only grows with b."""
    steps = centres.sort().values.diff()
    reach = (logits.amax(dim=1) - logits.amin(dim=1) + SURE) / steps[steps > 0].min()
    low, high = -reach, reach
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        mean = ((logits + middle.unsqueeze(1) * centres).softmax(dim=1) * centres).sum(dim=1)
        low, high = torch.where(mean > 0, low, middle), torch.where(mean > 0, middle, high)
    return (low + high) / 2
