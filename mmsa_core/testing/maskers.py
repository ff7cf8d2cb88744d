"""What every masker must hold."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from mmsa_core.components import Masker
from mmsa_core.missing import Draw
from mmsa_core.testing import configs
from mmsa_core.testing.building import config_of
from mmsa_core.testing.cases.masker import DRAW, Case, differs
from mmsa_core.testing.compare import require
from mmsa_core.testing.devices import META, on_meta
from mmsa_core.testing.kit import Outcome, Table, demand, run
from mmsa_core.testing.samples import COUNTS, cast, padded, poisoned, rows
from mmsa_core.types import Batch, Modality, map_tensors


def claims(case: Case) -> None:
    """It leaves its input alone, only hides, and changes features only where it says so."""
    full, before, who = case.full, map_tensors(torch.clone, case.full), case.who
    out = case.masker(full, DRAW)
    for m, seen in full.observed.items():
        require(torch.equal(seen, before.observed[m]), who, f"'{m}': the input batch was changed")
        require(torch.equal(full.features[m], before.features[m]), who, f"'{m}': the input's features were changed")
        _only_hides(case.masker, m, full, out)
    for name in ("target", "index", "key"):
        require(torch.equal(getattr(out, name), getattr(before, name)), who, f"{name} was changed")


def order(case: Case) -> None:
    index = torch.randperm(len(case.full), generator=torch.Generator().manual_seed(1))
    case.same("the order of samples matters", case.masker(rows(case.full, index), DRAW), rows(case.out, index))
    half = torch.arange(len(case.full) // 2)
    case.same("the size of the batch matters", case.masker(rows(case.full, half), DRAW), rows(case.out, half))
    turned = replace(case.full, observed={m: case.full.observed[m] for m in reversed(list(case.full.observed))})
    case.same("the order of the modalities matters", case.masker(turned, DRAW), case.out)


def hidden(case: Case) -> None:
    longer = case.masker(padded(case.full, 5), DRAW)
    case.same("appending padding frames changes the holes", longer, padded(case.out, 5))
    spoiled = case.masker(poisoned(case.full, float("nan")), DRAW)
    case.same("the features of unobserved frames matter", spoiled, case.out)


def sizes(case: Case) -> None:
    last = torch.tensor([len(case.full) - 1])
    alone = case.masker(rows(case.full, last), DRAW)
    case.same("a sample alone differs from itself in a batch", alone, rows(case.out, last))
    try:
        none = case.masker(rows(case.full, torch.arange(0)), DRAW)
    except Exception as error:
        raise AssertionError(f"{case.who}, batch of none: fails with {type(error).__name__}: {error}") from error
    case.same("a batch of none gets samples", none, rows(case.out, torch.arange(0)))


def absent(case: Case) -> None:
    """A sample without anything stays so, and changes nothing for the others."""
    index = torch.arange(len(case.full)) % 2 == 0
    lacking = case.full.hide({m: (~index).unsqueeze(1).expand_as(o) for m, o in case.full.observed.items()})
    out = case.masker(lacking, DRAW)
    shown = [m for m in out.observed if out.observed[m][~index].any()]
    require(not shown, case.who, f"a sample without any frame gets some of {', '.join(shown)}")
    kept = index.nonzero()[:, 0]
    case.same("that other samples are absent changes a sample", rows(out, kept), rows(case.out, kept))


def dtypes(case: Case) -> None:
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        out = case.masker(cast(case.full, dtype), DRAW)
        for m in out.features:
            name = str(dtype).removeprefix("torch.")
            require(out.features[m].dtype == dtype, case.who, f"features in {name} become {out.features[m].dtype}")
            same = torch.equal(out.observed[m], case.out.observed[m])
            require(same, case.who, f"features in {name} change the holes")


def seed(case: Case) -> None:
    """The same draw hides the same; another epoch or seed does, unless it says `deterministic`, not."""
    state = torch.random.get_rng_state(), random.getstate()
    case.same("the same draw hides other frames", case.masker(case.full, Draw("conformance", 7, 3)), case.out)
    untouched = torch.equal(torch.random.get_rng_state(), state[0]) and random.getstate() == state[1]
    require(untouched, case.who, "global random numbers are drawn; take them from the draw")
    if len(case.full.observed) == 1 and not case.masker.deterministic:
        return  # of one modality there may be nothing to choose
    others = {"epoch": Draw("conformance", 7, 4), "seed": Draw("conformance", 8, 3)}
    for name, draw in others.items():
        found = case.masker(case.full, draw)
        equal = all(differs(m, found, case.out) is None for m in case.out.observed)
        what = f"another {name} hides {'the same' if equal else 'other'} frames"
        says = "does not say" if equal else "says"
        require(equal == case.masker.deterministic, case.who, f"{what}, and `deterministic` {says} so")


def device(case: Case) -> str | None:
    moved = map_tensors(lambda x: x.to(META), case.full)
    out, unknown = on_meta(case.who, "it fails", lambda: case.masker(moved, DRAW))
    if out is not None:
        here = [m for m, x in out.observed.items() if x.device != META]
        require(not here, case.who, f"`observed` of {', '.join(here)} is on the CPU wherever its input is")
    return unknown


def _only_hides(masker: Masker, m: Modality, full: Batch, out: Batch) -> None:
    who, before, seen = type(masker).__name__, full.observed[m], out.observed[m]
    if not masker.changes_features:
        require(not (seen & ~before).any(), who, f"'{m}': a frame that was not observed is observed now")
        silent = out.features[m] is full.features[m]
        require(silent, who, f"'{m}': features were changed or copied, and `changes_features` does not say so")
        return
    more = (seen.sum(dim=1) > before.sum(dim=1)).any()
    require(not more, who, f"'{m}': more frames are observed than before")
    span = before.flip(1).cumsum(dim=1).flip(1) > 0  # up to the last observed frame
    require(not (seen & ~span).any(), who, f"'{m}': a frame behind the last observed one is observed now")
    require(out.features[m].shape == full.features[m].shape, who, f"'{m}': features changed their shape")


EACH: Table = (
    ("claims", claims),
    ("order", order),
    ("hidden", hidden),
    ("sizes", sizes),
    ("absent", absent),
    ("seed", seed),
)
ONCE: Table = (("yaml", configs.round_trip), ("dtypes", dtypes), ("device", device))


def outcomes(
    masker: Callable[[], Masker], modalities: Sequence[int | Sequence[Modality]] = COUNTS
) -> Iterator[Outcome]:
    """A new masker for every number of modalities."""
    cases = [Case.of(masker(), each) for each in modalities]
    yield from run((cases, EACH), (cases[-1:], ONCE))


def check_masker(
    component: type[Masker], config: Any = None, *, modalities: Sequence[int | Sequence[Modality]] = COUNTS
) -> None:
    """It only hides, and what it hides of a sample depends on the draw and on the sample's key alone.

    A `deterministic` masker hides the same in every epoch. One with `changes_features` is held to the same for what it
    shows, and to showing no more frames than were observed, none of them in the padding.
    """
    made = config_of(component, config)
    demand(outcomes(lambda: component(made), modalities))
