"""What every fusion must hold."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmsa_core.components import Fusion
from mmsa_core.tasks import TaskBase
from mmsa_core.testing import configs, modules
from mmsa_core.testing.building import config_of
from mmsa_core.testing.cases.fusion import Case
from mmsa_core.testing.compare import finite, require, unlike
from mmsa_core.testing.kit import Outcome, Table, demand, run
from mmsa_core.testing.samples import (
    COUNTS,
    ORDER,
    PADDING,
    TASKS,
    leaves,
    padded,
    rows,
)
from mmsa_core.types import Outputs, lengthened


def finite_(case: Case) -> None:
    """Outputs and gradients, where modalities are absent too."""
    out, who, width = case.out, case.who, case.made.task.width
    require(out.logits.shape == (len(case.full), width), who, f"logits have shape {tuple(out.logits.shape)}")
    require(out.joint.dim() == 2 and len(out.joint) == len(case.full), who, "joint is not [batch, width]")
    require(finite([out.joint, out.logits]), who, "outputs are not finite where modalities are absent")
    cut, leaf = leaves(case.inputs)
    trained = case.build().train()
    torch.manual_seed(0)
    out = trained(cut)
    own: list[Tensor] = [p for p in trained.parameters() if p.requires_grad]
    total = (out.logits * torch.randn_like(out.logits)).sum() + (out.joint * torch.randn_like(out.joint)).sum()
    found = torch.autograd.grad(total, leaf + own, allow_unused=True)
    require(finite(found), who, "a gradient is not finite where modalities are absent")
    require(any(g is not None and g.any() for g in found[: len(leaf)]), who, "the encoded modalities get no gradient")


def order(case: Case) -> None:
    index, parts = torch.tensor(ORDER), case.inputs
    case.same("the order of samples matters", case.run(rows(case.full, index)), rows(case.out, index))
    for i in (0, 1, 3):
        alone, one = case.run(rows(case.full, torch.tensor([i]))), rows(case.out, torch.tensor([i]))
        case.same(f"sample {i} alone differs from itself in a batch", alone, one)
    backwards = case.fusion({m: parts[m] for m in reversed(list(parts))})
    case.same("the order of the mapping matters", backwards, case.out)


def hidden(case: Case) -> None:
    """Padding, unless the fusion says `fixed_length`; hidden frames are zero when they come here."""
    if case.padding:
        longer = case.run(padded(case.full, PADDING))
        case.same("appending padding frames changes the result; mend it, or say `fixed_length`", longer, case.out)


def sizes(case: Case) -> None:
    try:
        none = case.run(rows(case.full, torch.arange(0)))
    except Exception as error:
        raise AssertionError(f"{case.who}, batch of none: fails with {type(error).__name__}: {error}") from error
    require(none.logits.shape == (0, case.made.task.width), case.who, "batch of none: logits have other rows than none")


def absent(case: Case) -> None:
    """A hidden modality changes the prediction of those that had it, and leaves all others as they are."""
    for m in case.full.features:
        out = case.run(case.full.hide({m: torch.ones_like(case.full.observed[m])}))
        require(finite([out.joint, out.logits]), case.who, f"outputs are not finite where all samples lack {m}")
        had = case.full.present(m)
        moved = (out.logits != case.out.logits).any(dim=1)
        require(moved[had].any(), case.who, f"whether '{m}' is there changes nothing")
        case.same(f"that other samples lack '{m}' changes a sample", rows(out, ~had), rows(case.out, ~had))


def claims(case: Case) -> None:
    """It gives what it says, and the class that it gives has an example that is like what it gives."""
    out, gives = case.out, case.component.gives
    require(isinstance(out, gives), case.who, f"outputs are not {gives.__name__}")
    require(set(out.encoded) == set(case.full.observed), case.who, "encoded lacks a modality")
    flipped = replace(case.full, features={m: -x for m, x in case.full.features.items()})
    require((case.run(flipped).logits != out.logits).any(), case.who, "the encoded modalities change nothing")
    if gives is not Outputs:
        whole = lengthened(case.full, case.made.lengths)  # which some fusions fill up to
        example, out = gives.example(whole, case.made, 0), case.run(whole)
        require(isinstance(example, gives), case.who, f"{gives.__name__} has no `example` of its own; write one")
        odd = unlike(example, out, "joint", "encoded")
        require(not odd, case.who, f"`{gives.__name__}.example` is unlike what it gives: {odd}")


EACH: Table = (
    ("finite", finite_),
    ("order", order),
    ("hidden", hidden),
    ("sizes", sizes),
    ("absent", absent),
    ("claims", claims),
)
ONCE: Table = (("yaml", configs.round_trip), *modules.CHECKS)


def outcomes(
    component: type[Fusion],
    config: Any,
    counts: Sequence[int] = COUNTS,
    tasks: Sequence[TaskBase] = TASKS,
    dim: int = 40,
    padding: bool | None = None,
) -> Iterator[Outcome]:
    """Every number of modalities with the first task, then every other task."""
    cases = [Case.of(component, config, count, tasks[0], dim, padding) for count in counts]
    others = [Case.of(component, config, counts[-1], task, dim, padding) for task in tasks[1:]]
    yield from run((cases, EACH), (others, EACH[:1]), (cases[-1:], ONCE))


def check_fusion(component: type[Fusion], config: Any = None, **more: Any) -> None:
    """Any modality may be absent, samples do not influence each other, outputs are of the class it gives.

    `counts` are the numbers of modalities that are tried, `tasks` the tasks, `dim` the model's width; `padding` says
    whether longer batches are tried, as they are by default unless it says `fixed_length`.
    """
    demand(outcomes(component, config_of(component, config), **more))
