"""What every masker must hold."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mmsa_core.components import Masker
from mmsa_core.corpora.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.testing.compare import require
from mmsa_core.testing.samples import batch, padded, poisoned, rows
from mmsa_core.types import Batch, Modality, map_tensors


def check_masker(
    masker: Masker, *, modalities: int | Sequence[Modality] = 3, samples: int = 64, deterministic: bool = False
) -> None:
    """It only hides, and what it hides of a sample depends on the draw and on the sample's key alone.

    A `deterministic` masker hides the same in every epoch. One with `changes_features` is held to the same for what it
    shows, and to showing no more frames than were observed, none of them in the padding.
    """
    who = type(masker).__name__
    full = batch(modalities, samples)
    before = map_tensors(torch.clone, full)
    masker.prepare(Split.padded(tuple(f"sample {i}" for i in range(samples)), full.features, full.observed))
    draw = Draw("conformance", seed=7, epoch=3)
    out = masker(full, draw)
    for m, seen in full.observed.items():
        require(torch.equal(seen, before.observed[m]), who, f"'{m}': the input batch was changed")
        require(torch.equal(full.features[m], before.features[m]), who, f"'{m}': the input's features were changed")
        _only_hides(masker, m, full, out)
    for name in ("target", "index", "key"):
        require(torch.equal(getattr(out, name), getattr(before, name)), who, f"{name} was changed")
    _same(who, "the same draw hides other frames", masker(full, Draw("conformance", 7, 3)), out)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(1))
    _same(who, "the order of samples matters", masker(rows(full, order), draw), rows(out, order))
    half = torch.arange(samples // 2)
    _same(who, "the size of the batch matters", masker(rows(full, half), draw), rows(out, half))
    last = torch.tensor([samples - 1])
    _same(who, "a sample alone differs from itself in a batch", masker(rows(full, last), draw), rows(out, last))
    _same(who, "appending padding frames changes the holes", masker(padded(full, 5), draw), padded(out, 5))
    spoiled = masker(poisoned(full, float("nan")), draw)
    _same(who, "the features of unobserved frames matter", spoiled, out)
    turned = replace(full, observed={m: full.observed[m] for m in reversed(list(full.observed))})
    _same(who, "the order of the modalities matters", masker(turned, draw), out)
    other = {"epoch": masker(full, Draw("conformance", 7, 4)), "seed": masker(full, Draw("conformance", 8, 3))}
    for name, found in other.items():
        equal = all(_differs(m, found, out) is None for m in out.observed)
        require(equal == deterministic, who, f"another {name} hides {'the same' if equal else 'other'} frames")


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


def _differs(m: Modality, found: Batch, wanted: Batch) -> str | None:
    """What of a modality is not the same; features of unobserved frames carry no meaning."""
    seen = wanted.observed[m]
    if not torch.equal(found.observed[m], seen):
        return m
    shown = found.features[m] is wanted.features[m] or torch.equal(found.features[m][seen], wanted.features[m][seen])
    return None if shown else f"features of {m}"


def _same(who: str, defect: str, found: Batch, wanted: Batch) -> None:
    for m in wanted.observed:
        what = _differs(m, found, wanted)
        require(what is None, who, f"{defect} ('{what}')")
