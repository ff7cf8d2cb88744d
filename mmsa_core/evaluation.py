"""Trained students under a protocol: every condition, every seed, beside predictors that look at nothing."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import torch

from mmsa_core import metrics
from mmsa_core.batching import to_device
from mmsa_core.checkpoint import Loaded
from mmsa_core.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.protocol import Protocol
from mmsa_core.runner import predict
from mmsa_core.tasks import TaskBase

Values = dict[str, float | None]
Summary = dict[str, Any]


def evaluate(
    runs: Sequence[Loaded], train: Split, split: Split, protocol: Protocol, device: torch.device
) -> dict[str, Any]:
    """Metrics of every run under every condition.

    Returns:
        `{"protocol", "samples", "seeds", "conditions": {name: {metric: {"mean", "std", "values"}}}, "averages":
        likewise, "averaged": {average: names of its conditions}, "references": {predictor: {metric: value}}}`.
        A value is None where the metric is undefined; `std` is None with one seed.
    """
    task = runs[0].recipe.task
    on_device = to_device(split, device)
    per_run = [_conditions(run, on_device, protocol, device) for run in runs]
    conditions = {name: summarize([found[name] for found in per_run]) for name in protocol.conditions}
    averages = {
        name: summarize([metrics.average([found[c] for c in members]) for found in per_run])
        for name, members in protocol.averages.items()
    }
    return {
        "protocol": protocol.name,
        "modalities": list(runs[0].channels),
        "samples": len(split),
        "seeds": [run.recipe.seeds[0] for run in runs],
        "mask_seed": runs[0].recipe.evaluate.seed,
        "thresholds": [run.results.get("threshold") for run in runs],
        "conditions": conditions,
        "averages": averages,
        "averaged": {name: list(members) for name, members in protocol.averages.items()},
        "references": references(task, train, split),
    }


def _conditions(run: Loaded, split: Split, protocol: Protocol, device: torch.device) -> dict[str, Values]:
    found: dict[str, Values] = {}
    network = run.model.to(device)
    config = run.recipe.evaluate
    draw = Draw(protocol.name, config.seed)
    for name, masker in protocol.conditions.items():
        logits, target = predict(network, split, run.recipe.task, [draw], masker, config.batch_size)
        found[name] = run.recipe.task.metrics(logits, target, run.results.get("threshold"))
    return found


def references(task: TaskBase, train: Split, split: Split) -> dict[str, dict[str, float | None]]:
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
