"""What every loss term must hold."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from mmsa_core.components import Distiller
from mmsa_core.tasks import Bins, Regression, TaskBase
from mmsa_core.testing import configs, modules
from mmsa_core.testing.building import config_of
from mmsa_core.testing.cases.distiller import Case
from mmsa_core.testing.compare import require
from mmsa_core.testing.kit import Outcome, Table, demand, run
from mmsa_core.testing.samples import (
    COUNTS,
    ORDER,
    PADDING,
    TASKS,
    Build,
    batch,
    context,
    leaves,
    padded,
    poisoned,
    rows,
)
from mmsa_core.testing.sharing import shares
from mmsa_core.types import map_tensors


def finite_(case: Case) -> None:
    """A finite scalar and finite gradients, at corners where a root or a logarithm has none."""
    student, _, full = case.inputs
    require(case.value.isfinite(), case.who, "the loss is not finite")
    odd = [name for name, x in case.term.observations.items() if x.ndim or x.requires_grad]
    require(not odd, case.who, f"it observes {', '.join(odd)}, which is no scalar without a gradient")
    case.loss("student equal to teacher", student, student, full)
    equal = torch.zeros(len(full), dtype=torch.int64)
    case.loss("all samples equal", *rows(case.inputs, equal))


def teacher(case: Case) -> None:
    student, given, full = case.inputs
    own, _ = leaves(student)
    cut, theirs = leaves(given)
    loss = case.term(own, cut, full)
    found = torch.autograd.grad(loss, theirs, allow_unused=True) if loss.requires_grad else ()
    require(not any(g is not None and g.any() for g in found), case.who, "the teacher gets a gradient; detach it")


def order(case: Case) -> None:
    if case.invariant:
        moved = case.loss("reordered", *rows(case.inputs, torch.tensor(ORDER)))
        case.same("the order of samples matters", moved)


def hidden(case: Case) -> None:
    student, given, full = case.inputs
    spoiled = case.loss("NaN at hidden frames", student, given, poisoned(full, float("nan")))
    case.same("NaN at hidden frames changes the loss", spoiled)
    longer = case.loss("a teacher padded further", student, case.outputs(padded(full, 2), case.made, 2), full)
    case.same("how far the teacher is padded changes the loss", longer)
    longer = case.loss("a student padded further", case.outputs(padded(full, 2), case.made, 1), given, padded(full, 2))
    case.same("how far the student is padded changes the loss", longer)


def sizes(case: Case) -> None:
    case.loss("batch of one", *rows(case.inputs, torch.tensor([0])))
    case.loss("batch of none", *rows(case.inputs, torch.arange(0)))


def absent(case: Case) -> None:
    """Modalities that all samples lack, and targets that have no category."""
    _, _, full = case.inputs
    for m in full.features:
        lacking = full.hide({m: torch.ones_like(full.observed[m])})
        student, given = (case.outputs(lacking, case.made, n) for n in (1, 2))
        case.loss(f"all samples lack '{m}'", student, given, lacking)
    if isinstance(case.made.task, Bins) and case.made.task.classes == 2:
        student, given, _ = case.inputs
        case.loss("no target has a category", student, given, replace(full, target=torch.zeros(len(full))))


def claims(case: Case) -> None:
    """What `needs_teacher`, `representations` and `targets` deny is not read."""
    student, given, full = case.inputs
    if not case.component.needs_teacher:
        alone = case.loss("the student as its own teacher", student, student, full)
        case.same("the teacher changes the loss, and `needs_teacher` is False", alone)
    if not case.component.representations:
        unread = map_tensors(lambda x: x * float("nan") if x.is_floating_point() else x, given)
        alone = case.loss("teacher with responses only", student, replace(unread, logits=given.logits), full)
        case.same("the teacher's representations change the loss", alone)
    if not case.component.targets:
        unlabelled = replace(full, target=torch.zeros_like(full.target))
        without = case.loss("all targets zero", student, given, unlabelled)
        case.same("the targets change the loss, and `targets` is False", without)


EACH: Table = (
    ("finite", finite_),
    ("teacher", teacher),
    ("order", order),
    ("hidden", hidden),
    ("sizes", sizes),
    ("absent", absent),
    ("claims", claims),
    ("shares", shares),
)
ONCE: Table = (("yaml", configs.round_trip), *modules.CHECKS)


def outcomes(
    component: type[Distiller],
    config: Any,
    counts: Sequence[int] = COUNTS,
    tasks: Sequence[TaskBase] = TASKS,
    dim: int = 40,
    build: Build | None = None,
    invariant: bool = True,
) -> Iterator[Outcome]:
    """Every number of modalities with the first fitting task, then every other task."""
    fitting = [task for task in tasks if not (component.responses and isinstance(task, Regression))]
    made = []
    for count, task in [(n, fitting[0]) for n in counts] + [(counts[-1], task) for task in fitting[1:]]:
        who = f"{component.__name__} ({count} modalities, task {getattr(task, 'kind', '')})"
        full = batch(count, task=task)
        known = context(full, task, dim, PADDING)
        made.append(Case(who, component, config, known, full, build or component.reads.example, invariant))
    yield from run((made, EACH), (made[-1:], ONCE))


def check_distiller(component: type[Distiller], config: Any = None, **more: Any) -> None:
    """A finite scalar with a gradient for the student and none for the teacher, in every corner.

    `counts` are the numbers of modalities that are tried, `tasks` the tasks, `dim` the model's width; `build` makes the
    outputs, by default the `example` of the class that the term reads; `invariant` says that the order of the
    samples does not matter.
    """
    demand(outcomes(component, config_of(component, config), **more))
