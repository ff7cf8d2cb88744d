"""Trained students under a protocol: every condition, every seed, beside predictors that look at nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from mmsa_core import assemble
from mmsa_core.calibration.calibration import Calibration, apply
from mmsa_core.corpora import data
from mmsa_core.corpora.batching import to_device
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.evaluation import answers_file
from mmsa_core.evaluation.answers_file import Asked
from mmsa_core.evaluation.protocol import Protocol, average
from mmsa_core.evaluation.scores import Answers, Scores, answers
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import test_log
from mmsa_core.run_folder.checkpoint import Loaded
from mmsa_core.tasks import TaskBase

Values = dict[str, float | None]
Summary = dict[str, Any]


@dataclass(frozen=True)
class Evaluated:
    """An experiment's answers on one split under one protocol: one `Scores` for each seed."""

    folder: Path
    recipe: Recipe
    protocol: Protocol
    split_name: str
    split: Split
    train_target: Tensor
    data_digest: str
    scores: tuple[Scores, ...]

    @property
    def task(self) -> TaskBase:
        """What was learned, and is measured."""
        return self.recipe.task

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the students read."""
        return tuple(self.recipe.model.encoders)

    def values(self, scores: Scores, condition: str) -> Values:
        """The metrics of one seed under one condition; those of calibrated answers have the suffix `_calibrated`."""
        rows = scores.rows[condition]
        target = scores.target[rows]
        found = self.task.metrics(scores.answers[condition].logits[rows], target, scores.threshold)
        if scores.calibrated is None:
            return found
        calibrated = self.task.metrics(scores.calibrated[condition].logits[rows], target)
        return found | {f"{name}_calibrated": value for name, value in calibrated.items()}

    def averages(self, found: dict[str, Values]) -> dict[str, Values]:
        """The protocol's averages of the metrics of its conditions."""
        wanted = {}
        for name, each in self.protocol.averages.items():
            weights = each.weights(self.protocol.conditions)
            metrics = found[each.over[0]]
            wanted[name] = {
                metric: average([found[condition].get(metric) for condition in weights], list(weights.values()))
                for metric in metrics
            }
        return wanted

    def references(self, rows: Bool[Tensor, " samples"] | None = None) -> dict[str, Values]:
        """Predictors that know the training targets and look at no sample; on some samples, or on all that count."""
        first = self.scores[0]
        wanted = torch.stack(list(first.rows.values())).any(dim=0) if rows is None else rows
        return self.task.references(self.train_target, first.target[wanted])

    def summary(self) -> dict[str, Any]:
        """Metrics over seeds.

        Returns:
            `{"protocol", "samples", "seeds", "conditions": {name: {metric: {"mean", "std", "values"}}}, "averages":
            likewise, "averaged": {average: names of its conditions}, "references": {predictor: {metric: value}}}`.
            A value is None where the metric is undefined; `std` is None with one seed.
        """
        per_seed = [{name: self.values(each, name) for name in self.protocol.conditions} for each in self.scores]
        averaged = [self.averages(found) for found in per_seed]
        first = self.scores[0]
        return {
            "protocol": self.protocol.name,
            "about": " ".join(self.protocol.about.split()),
            "split": self.split_name,
            "modalities": list(self.modalities),
            "samples": int(torch.stack(list(first.rows.values())).any(dim=0).sum()),
            "samples_of": {name: int(rows.sum()) for name, rows in first.rows.items()},
            "seeds": [each.seed for each in self.scores],
            "mask_seed": self.recipe.evaluate.seed,
            "thresholds": [each.threshold for each in self.scores],
            "conditions": {name: summarize([found[name] for found in per_seed]) for name in self.protocol.conditions},
            "averages": {name: summarize([found[name] for found in averaged]) for name in self.protocol.averages},
            "averaged": {name: list(each.over) for name, each in self.protocol.averages.items()},
            "averaged_how": {name: each.how for name, each in self.protocol.averages.items()},
            "references": self.references(),
        }


def evaluate(
    runs: Sequence[Loaded],
    prepared: data.Data,
    split_name: str,
    protocol: Protocol,
    device: torch.device,
    command: str = "python",
    calibrations: Sequence[Calibration] = (),
) -> Evaluated:
    """Ask every run under every condition; what was asked before is read from the run folder.

    Each time that a test split is asked is noted there, with the `command` that did it. With `calibrations`, one for
    each run, the answers are calibrated too.
    """
    recipe, split = runs[0].recipe, prepared.splits[split_name]
    task = recipe.task
    for condition in protocol.conditions.values():
        condition.prepare(prepared.splits["train"], assemble.raw(recipe.model))
    rows = {name: condition.rows(split) for name, condition in protocol.conditions.items()}
    moved = to_device(split, device)
    scores = tuple(
        Scores(
            seed=run.recipe.seeds[0],
            ids=split.ids,
            target=task.target(split).cpu(),
            threshold=run.results.get("threshold"),
            answers=_answers(run, Asked(run.folder, protocol, split_name, moved, prepared.digest, run.recipe), command),
            rows=rows,
        )
        for run in runs
    )
    if calibrations:
        scores = tuple(_calibrated(task, each, known) for each, known in zip(scores, calibrations, strict=True))
    folder = runs[0].folder if len(runs) == 1 else runs[0].folder.parent
    target = prepared.splits["train"].targets[task.needs].cpu()
    return Evaluated(folder, recipe, protocol, split_name, split, target, prepared.digest, scores)


def _answers(run: Loaded, asked: Asked, command: str) -> dict[str, Answers]:
    known = answers_file.read(asked)
    if known is not None:
        return known
    protocol, config = asked.protocol, run.recipe.evaluate
    if not os.access(run.folder, os.W_OK):
        raise UserError(
            f"{run.folder}: cannot be written to, and answers, and that the test split was asked, are noted there; "
            "copy the run to a folder of your own"
        )
    if asked.split_name == "test":
        test_log.record(run.folder, protocol.name, command, list(protocol.conditions))
    network = run.model.to(asked.split.device)
    found = answers(network, asked.split, protocol.conditions, protocol.source(config.seed), config.batch_size)
    answers_file.write(asked, found)
    return found


def _calibrated(task: TaskBase, scores: Scores, calibration: Calibration) -> Scores:
    return replace(scores, calibrated={name: apply(calibration, task, each) for name, each in scores.answers.items()})


def references(task: TaskBase, train: Split, split: Split) -> dict[str, Values]:
    """Predictors that know the training targets and never look at a sample."""
    return task.references(train.targets[task.needs], split.targets[task.needs])


def summarize(found: Sequence[Values]) -> Summary:
    """Mean and sample standard deviation of each metric over runs."""
    summary: Summary = {}
    for name in dict.fromkeys(name for values in found for name in values):
        values = [each.get(name) for each in found]
        defined = [v for v in values if v is not None]
        whole = len(defined) == len(values)
        summary[name] = {
            "mean": fmean(defined) if whole else None,
            "std": stdev(defined) if whole and len(defined) > 1 else None,
            "values": values,
        }
    return summary
