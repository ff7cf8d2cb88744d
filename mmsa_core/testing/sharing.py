"""A loss term where several processes share a batch: each computes it for the whole, with a gradient on its own rows.

What a process gathers of the others has no gradient (see `mmsa_core.training.gathering`). So a term may keep nothing
of an earlier call, draw nothing but what torch's seed decides, and read outputs by their fields alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmsa_core.testing.cases.distiller import Case
from mmsa_core.testing.compare import require, same
from mmsa_core.types import map_tensors

Gradients = Sequence[Tensor | None]


def shares(case: Case) -> None:
    """The same term, and together the same gradients, whoever has which samples; one process has none."""
    who, (_, _, full) = f"{case.who}, several processes share the batch", case.inputs
    value, whole, own = found(case, slice(None))
    half = (len(full) + 1) // 2
    for part in (slice(0, half), slice(half, len(full)), slice(len(full), len(full))):
        its_value, its, its_own = found(case, part)
        same(who, "one of them finds another loss", its_value, value)
        agree(who, "the gradient of its own samples", its, [g if g is None else g[part] for g in whole])
        agree(who, "the gradient of the term's parameters", its_own, own)


def agree(who: str, what: str, its: Gradients, wanted: Gradients) -> None:
    """Gradients are equal, and are there where the others are."""
    for mine, other in zip(its, wanted, strict=True):
        require((mine is None) == (other is None), who, f"{what} depends on the process: one of them has none")
        if mine is not None and other is not None:
            same(who, f"{what} is another", mine, other)


def found(case: Case, part: slice) -> tuple[Tensor, Gradients, Gradients]:
    """The term of gathered outputs, its gradient on one process's samples, and on the term's own parameters."""
    mine: list[Tensor] = []
    student, teacher, full = case.inputs

    def gathered(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        start, stop, _ = part.indices(len(x))
        mine.append(x[start:stop].detach().clone().requires_grad_())
        return torch.cat([x[:start].detach(), mine[-1], x[stop:].detach()])

    own = [p for p in case.term.parameters() if p.requires_grad]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        loss = case.term(map_tensors(gathered, student), map_tensors(torch.detach, teacher), full)
    gradients = torch.autograd.grad(loss, [*mine, *own], allow_unused=True)
    return loss.detach(), gradients[: len(mine)], gradients[len(mine) :]
