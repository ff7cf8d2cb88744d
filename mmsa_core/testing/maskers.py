"""What every masker must hold."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mmsa_core.components import Masker
from mmsa_core.missing import Draw
from mmsa_core.testing.compare import require
from mmsa_core.testing.samples import batch, padded, poisoned, rows
from mmsa_core.types import Batch, Modality, map_tensors


def check_masker(
    masker: Masker, *, modalities: int | Sequence[Modality] = 3, samples: int = 64, deterministic: bool = False
) -> None:
    """It only hides, and what it hides of a sample depends on the draw and on the sample's key alone.

    A `deterministic` masker hides the same in every epoch.
    """
    who = type(masker).__name__
    full = batch(modalities, samples)
    before = map_tensors(torch.clone, full)
    draw = Draw("conformance", seed=7, epoch=3)
    out = masker(full, draw)
    for m, seen in full.observed.items():
        require(torch.equal(seen, before.observed[m]), who, f"'{m}': the input batch was changed")
        require(not (out.observed[m] & ~seen).any(), who, f"'{m}': a frame that was not observed is observed now")
        require(out.features[m] is full.features[m], who, f"'{m}': features were changed or copied")
    for name in ("target", "index", "key"):
        require(torch.equal(getattr(out, name), getattr(before, name)), who, f"{name} was changed")
    _same_mask(who, "the same draw hides other frames", masker(full, Draw("conformance", 7, 3)), out)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(1))
    _same_mask(who, "the order of samples matters", masker(rows(full, order), draw), rows(out, order))
    half = torch.arange(samples // 2)
    _same_mask(who, "the size of the batch matters", masker(rows(full, half), draw), rows(out, half))
    last = torch.tensor([samples - 1])
    _same_mask(who, "a sample alone differs from itself in a batch", masker(rows(full, last), draw), rows(out, last))
    _same_mask(who, "appending padding frames changes the holes", masker(padded(full, 5), draw), padded(out, 5))
    spoiled = masker(poisoned(full, float("nan")), draw)
    _same_mask(who, "the features matter", spoiled, out)
    turned = replace(full, observed={m: full.observed[m] for m in reversed(list(full.observed))})
    _same_mask(who, "the order of the modalities matters", masker(turned, draw), out)
    other = {"epoch": masker(full, Draw("conformance", 7, 4)), "seed": masker(full, Draw("conformance", 8, 3))}
    for name, found in other.items():
        equal = all(torch.equal(found.observed[m], seen) for m, seen in out.observed.items())
        require(equal == deterministic, who, f"another {name} hides {'the same' if equal else 'other'} frames")


def _same_mask(who: str, defect: str, found: Batch, wanted: Batch) -> None:
    for m, seen in wanted.observed.items():
        require(torch.equal(found.observed[m], seen), who, f"{defect} ('{m}')")
