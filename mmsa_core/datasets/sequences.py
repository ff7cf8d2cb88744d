"""From a list of sequences for each modality to a corpus: one width each, padded, what is missing noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsa_core.corpus import Corpus, Split, missing_notes
from mmsa_core.errors import UserError
from mmsa_core.types import Modality

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Part:
    """The samples of one split as they were read.

    A sequence is an array [frames, channels]; None, or one without frames, is a missing modality. `seen` holds an
    array [frames] of truth values where not all frames of a sequence are real.
    """

    ids: Sequence[str]
    sequences: Mapping[Modality, Sequence[Array | None]]
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    seen: Mapping[Modality, Sequence[Array | None]] = field(default_factory=dict)


def corpus(
    parts: Mapping[str, Part],
    modalities: Sequence[Modality],
    where: str,
    digest: str,
    notes: Sequence[str] = (),
    names: Mapping[str, tuple[str, ...]] | None = None,
) -> Corpus:
    """The splits; a modality that no sample has is left out, and said so."""
    widths = {m: _width(parts, m, where) for m in modalities}
    there = {m: width for m, width in widths.items() if width is not None}
    splits = {name: _padded(part, there) for name, part in parts.items()}
    found = [f"no sample has {m}" for m, width in widths.items() if width is None]
    found += [note for name, split in splits.items() for note in missing_notes(name, split)]
    return Corpus(splits, digest, (*notes, *found), names or {})


def _width(parts: Mapping[str, Part], modality: Modality, where: str) -> int | None:
    """The one width of a modality's features."""
    width: int | None = None
    first = ""
    for name, part in parts.items():
        for sample, sequence in zip(part.ids, part.sequences[modality], strict=True):
            if sequence is None or not len(sequence):
                continue
            if width is None:
                width, first = sequence.shape[1], f"sample '{sample}' of {name}"
            if sequence.shape[1] != width:
                raise UserError(
                    f"{where}, split '{name}': {modality} of sample '{sample}' has {sequence.shape[1]} channels, but "
                    f"{width} in {first}. Make the features of all samples in the same way."
                )
    return width


def _padded(part: Part, widths: Mapping[Modality, int]) -> Split:
    """The sequences of one split as padded tensors."""
    features, observed = {}, {}
    for modality, width in widths.items():
        found = part.sequences[modality]
        longest = max((len(x) for x in found if x is not None), default=0) or 1
        values = np.zeros((len(found), longest, width), dtype=np.float32)
        visible = np.zeros((len(found), longest), dtype=bool)
        masks = part.seen.get(modality, [None] * len(found))
        for row, (x, mask) in enumerate(zip(found, masks, strict=True)):
            if x is not None and len(x):
                with np.errstate(over="ignore", invalid="ignore"):
                    values[row, : len(x)] = x
                visible[row, : len(x)] = True if mask is None else mask
        features[modality], observed[modality] = torch.from_numpy(values), torch.from_numpy(visible)
    return Split(tuple(part.ids), features, observed, dict(part.targets))
