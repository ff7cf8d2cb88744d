"""What every loss term must hold."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmsa_core.components import Distiller
from mmsa_core.tasks import Bins, Regression, TaskBase
from mmsa_core.testing.compare import finite, require, same
from mmsa_core.testing.samples import COUNTS, TASKS, Build, batch, context, leaves, outputs, padded, poisoned, rows
from mmsa_core.types import Batch, Outputs, map_tensors


def check_distiller(
    component: type[Distiller],
    config: Any = None,
    *,
    counts: Sequence[int] = COUNTS,
    tasks: Sequence[TaskBase] = TASKS,
    build: Build = outputs,
    dim: int = 8,
    padding: int = 3,
    invariant: bool = True,
) -> None:
    """A finite scalar with a gradient for the student and none for the teacher, in every corner.

    `build` makes outputs of the class that the term reads; `invariant` says that the order of the
    samples does not matter.
    """
    config = component.Config() if config is None else config
    fitting = [task for task in tasks if not (component.responses and isinstance(task, Regression))]
    for count, task in [(n, fitting[0]) for n in counts] + [(counts[-1], task) for task in fitting[1:]]:
        who = f"{component.__name__} ({count} modalities, task {getattr(task, 'kind', '')})"
        full = batch(count, task=task)
        made = context(full, task, dim, padding)
        torch.manual_seed(0)
        term = component(config, made)
        student, teacher = build(full, made, 1), build(full, made, 2)
        value = _check_term(who, term, student, teacher, full)
        spoiled = _check_term(f"{who}, NaN at hidden frames", term, student, teacher, poisoned(full, float("nan")))
        same(who, "NaN at hidden frames changes the loss", spoiled, value)
        if invariant:
            order = torch.tensor([3, 5, 0, 2, 1, 4])
            moved = _check_term(who, term, *(rows(part, order) for part in (student, teacher, full)))
            same(who, "the order of samples matters", moved, value)
        first = torch.tensor([0])
        _check_term(f"{who}, batch of one", term, *(rows(part, first) for part in (student, teacher, full)))
        _check_term(f"{who}, student equal to teacher", term, student, student, full)
        longer = _check_term(f"{who}, a teacher padded further", term, student, build(padded(full, 2), made, 2), full)
        same(who, "how far the teacher is padded changes the loss", longer, value)
        equal = torch.zeros(len(full), dtype=torch.int64)
        _check_term(f"{who}, all samples equal", term, *(rows(part, equal) for part in (student, teacher, full)))
        if isinstance(task, Bins) and task.classes == 2:
            ignored = replace(full, target=torch.zeros(len(full)))
            _check_term(f"{who}, no target has a category", term, student, teacher, ignored)
        if not component.representations:
            unread = map_tensors(lambda x: x * float("nan") if x.is_floating_point() else x, teacher)
            blind = replace(unread, logits=teacher.logits)
            alone = _check_term(f"{who}, teacher with responses only", term, student, blind, full)
            same(who, "the teacher's representations change the loss", alone, value)
        if not component.targets:
            unlabelled = replace(full, target=torch.zeros_like(full.target))
            without = _check_term(f"{who}, all targets zero", term, student, teacher, unlabelled)
            same(who, "the targets change the loss, and `targets` is False", without, value)


def _check_term(who: str, term: Distiller, student: Outputs, teacher: Outputs, of: Batch) -> Tensor:
    """The loss of one case, after its gradients have been looked at."""
    (own_s, taken), (own_t, given) = leaves(student), leaves(teacher)
    try:
        loss: Tensor = term(own_s, own_t, of)
    except Exception as error:
        raise AssertionError(f"{who}: fails with {type(error).__name__}: {error}") from error
    require(loss.shape == (), who, f"the loss is no scalar, but has shape {tuple(loss.shape)}")
    require(loss.isfinite(), who, f"the loss is {loss.item()}")
    require(loss.requires_grad, who, "the loss has no gradient; return a zero that comes from the student")
    own: list[Tensor] = [p for p in term.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, taken + given + own, allow_unused=True)
    ours, theirs = found[: len(taken)], found[len(taken) : len(taken) + len(given)]
    require(any(g is not None for g in ours), who, "the student gets no gradient")
    require(finite(ours), who, "the student's gradient is not finite")
    require(not any(g is not None and g.any() for g in theirs), who, "the teacher gets a gradient; detach it")
    require(finite(found[len(taken) + len(given) :]), who, "the gradient of a parameter of the term is not finite")
    return loss.detach()
