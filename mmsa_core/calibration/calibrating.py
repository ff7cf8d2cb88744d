"""Fit a calibration to a trained student: masked draws of validation, the rule that does best on clips left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Int64
from torch import Tensor

from mmsa_core.calibration.bias import Rule, rules
from mmsa_core.calibration.calibration import Calibration, apply, fit
from mmsa_core.calibration.evidence import Evidence
from mmsa_core.corpora.batching import to_device
from mmsa_core.corpora.corpus import Split
from mmsa_core.evaluation import protocol_file
from mmsa_core.evaluation.scores import Answers, answers
from mmsa_core.missing import Draw
from mmsa_core.run_folder.checkpoint import Loaded
from mmsa_core.tasks import BinaryLabels, TaskBase

PROTOCOL = "grid"
"""Every subset of the modalities at every rate of missing frames, so that every cell has draws, whatever the recipe."""
DRAW = "calibration"
FOLDS = 5

Values = Mapping[str, float | None]
ByCondition = Mapping[str, Answers]


@dataclass(frozen=True)
class Fitted:
    """A calibration, and what it does to validation clips that it was not fitted on."""

    calibration: Calibration
    rule: Rule
    before: Mapping[str, Values]
    """The metrics in each condition of the grid, without any."""
    after: Mapping[Rule, Mapping[str, Values]]
    """With a calibration by each rule, fitted on the other clips."""


def ask(run: Loaded, valid: Split, draws: int, device: torch.device) -> list[dict[str, Answers]]:
    """The student's answers on validation in every condition of the grid, once for each draw of the masks."""
    conditions = protocol_file.get(PROTOCOL, tuple(run.channels)).conditions
    network, split, config = run.model.to(device), to_device(valid, device), run.recipe.evaluate
    sources = (Draw(DRAW, config.seed, n) for n in range(draws))
    return [answers(network, split, conditions, source, config.batch_size) for source in sources]


def fitted(task: TaskBase, asked: Sequence[ByCondition], valid: Split, temperature: bool) -> Fitted:
    """The calibration by the rule with the best F1 on clips left out, and how good it was there."""
    target = task.target(valid).cpu()
    evidence, fold = pooled(task, asked, target), folds(valid)
    before = {name: task.metrics(each.logits, target) for name, each in asked[0].items()}
    after = {rule: left_out(task, evidence, asked[0], target, fold, rule, temperature) for rule in rules(task)}
    best = max(after, key=lambda rule: headline(task, after[rule]))
    return Fitted(fit(evidence, best, temperature), best, before, after)


def pooled(task: TaskBase, asked: Sequence[ByCondition], target: Tensor) -> Evidence:
    """All draws and conditions one below the other."""
    parts = [each for by_condition in asked for each in by_condition.values()]
    whole = Answers(*map(torch.cat, zip(*parts, strict=True)))
    return Evidence.of(task, whole, torch.cat([target] * len(parts)), torch.arange(len(target)).repeat(len(parts)))


def folds(valid: Split) -> Int64[Tensor, " samples"]:
    """Which clips are left out together; a pure function of their ids."""
    return (Draw(DRAW, 0).samples(valid.key, "fold") * FOLDS).long()


def left_out(
    task: TaskBase,
    evidence: Evidence,
    asked: ByCondition,
    target: Tensor,
    fold: Int64[Tensor, " samples"],
    rule: Rule,
    temperature: bool,
) -> dict[str, Values]:
    """The metrics in each condition where every clip is calibrated by what was fitted on the other folds."""
    logits = {name: each.logits.clone() for name, each in asked.items()}
    for left in range(FOLDS):
        calibration, out = fit(evidence.rows(fold[evidence.clip] != left), rule, temperature), fold == left
        for name, each in asked.items():
            logits[name][out] = apply(calibration, task, Answers(*(part[out] for part in each))).logits
    return {name: task.metrics(each, target) for name, each in logits.items()}


def headline(task: TaskBase, found: Mapping[str, Values]) -> float:
    """The mean over the conditions of the F1 that rules are chosen by; undefined counts as nothing."""
    name = "f1_mean" if isinstance(task, BinaryLabels) else task.headline[0]
    return fmean(values[name] or 0.0 for values in found.values())
