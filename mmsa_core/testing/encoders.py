"""What every encoder must hold."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from mmsa_core.components import Encoder
from mmsa_core.testing import configs, modules
from mmsa_core.testing.building import config_of
from mmsa_core.testing.cases.encoder import Case
from mmsa_core.testing.compare import finite, require, shapes
from mmsa_core.testing.kit import Outcome, Table, demand, run
from mmsa_core.testing.samples import COUNTS, ORDER, PADDING, rows


def finite_(case: Case) -> None:
    """Shapes, and gradients where hidden frames are NaN."""
    (x, seen), who = case.inputs, case.who
    shapes(who, case.out, len(seen), case.made.dim)
    leaf = x.masked_fill(~seen.unsqueeze(2), float("nan")).requires_grad_()
    trained = case.build().train()
    torch.manual_seed(0)
    out = trained(leaf, seen)
    total = sum((t * torch.randn_like(t)).sum() for t in (out.sequence, out.pooled))
    own = [p for p in trained.parameters() if p.requires_grad]
    to_input, *to_own = torch.autograd.grad(total, [leaf, *own], allow_unused=True)
    if not case.vocabulary:
        require(to_input is not None and to_input[seen].any(), who, "observed frames get no gradient")
        require(to_input.isfinite().all() and not to_input[~seen].any(), who, "hidden frames get a gradient")
    require(finite(to_own), who, "a parameter's gradient is not finite when hidden frames are NaN")


def order(case: Case) -> None:
    (x, seen), index = case.inputs, torch.tensor(ORDER)
    again = case.encoder(x[index], seen[index])
    case.same("the order of samples matters", again, rows(case.out, index))
    for i in (0, 1, 2):
        alone = case.encoder(x[i : i + 1], seen[i : i + 1])
        case.same(f"sample {i} alone differs from itself in a batch", alone, rows(case.out, torch.tensor([i])))


def hidden(case: Case) -> None:
    """What stands at hidden frames, and padding unless the encoder says `fixed_length`."""
    (x, seen), out = case.inputs, case.out
    require(not out.sequence[~out.observed].any(), case.who, "unobserved steps of `sequence` are not zero")
    for value in (float("nan"), float("inf"), 1e4):
        spoiled = case.encoder(x.masked_fill(~seen.unsqueeze(2), value), seen)
        case.same(f"{value} at hidden frames changes the result", spoiled, out)
    other = torch.cat([(x[..., :1] + 1) % case.vocabulary, x[..., 1:]], dim=2) if case.vocabulary else -x
    changed = (case.encoder(other, seen).pooled != out.pooled).any(dim=1)
    require(changed[seen.any(dim=1)].all(), case.who, "observed frames change nothing")
    if not case.encoder.fixed_length:
        longer = case.encoder(F.pad(x, (0, 0, 0, PADDING), value=9.0), F.pad(seen, (0, PADDING)))
        case.same("appending padding frames changes the result; mend it, or say `fixed_length`", longer, out)


def sizes(case: Case) -> None:
    (x, seen), who, dim = case.inputs, case.who, case.made.dim
    if not case.encoder.fixed_length:
        shapes(f"{who} on a single frame", case.encoder(x[:, :1], seen[:, :1]), len(seen), dim)
    try:
        none = case.encoder(x[:0], seen[:0])
    except Exception as error:
        raise AssertionError(f"{who}, batch of none: fails with {type(error).__name__}: {error}") from error
    shapes(f"{who}, batch of none", none, 0, dim)


def absent(case: Case) -> None:
    out, who = case.out, case.who
    require(not out.pooled[1].any(), who, "a sample without any observed frame has `pooled` other than zero")
    require(not out.observed[1].any(), who, "a sample without any observed frame has observed steps")
    require(out.present[[0, 2]].all(), who, "a sample with observed frames has no observed step")


def claims(case: Case) -> None:
    """`length` tells the steps, and without gradients it computes the same."""
    x, seen = case.inputs
    steps, said = case.out.sequence.shape[1], case.encoder.length(x.shape[1])
    require(steps == said, case.who, f"`length` says {said} steps for {x.shape[1]} frames, and `sequence` has {steps}")
    with torch.no_grad():
        case.same("the result is another one without gradients", case.encoder(x, seen), case.out)


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
    component: type[Encoder], config: Any, counts: Sequence[int] = COUNTS, dim: int = 40, vocabulary: int = 0
) -> Iterator[Outcome]:
    """As the encoder of one modality alone, and of the last of many."""
    cases = [Case.of(component, config, count, dim, vocabulary) for count in sorted({counts[0], counts[-1]})]
    yield from run((cases, EACH), (cases[-1:], ONCE))


def check_encoder(component: type[Encoder], config: Any = None, **more: Any) -> None:
    """Hidden frames have no influence, an absent modality is zero, and samples do not influence each other.

    `dim` is the model's width; `vocabulary` the number of token ids of an encoder that reads tokens, 0 for one that
    reads features; `counts` are numbers of modalities.
    """
    demand(outcomes(component, config_of(component, config), **more))
