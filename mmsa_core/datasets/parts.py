"""From a list of sequences for each modality to a corpus: one width each, what is missing noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsa_core.corpora.corpus import Corpus, Split, missing_notes
from mmsa_core.corpora.sequences import Sequences
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


def joined(
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
    splits = {name: _split(part, there) for name, part in parts.items()}
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
            if not sequence.shape[1]:
                raise UserError(
                    f"{where}, split '{name}': {modality} of sample '{sample}' has {len(sequence)} frames without a "
                    "channel. Extract its features again, or leave them out: then it counts as missing."
                )
            if width is None:
                width, first = sequence.shape[1], f"sample '{sample}' of {name}"
            if sequence.shape[1] != width:
                raise UserError(
                    f"{where}, split '{name}': {modality} of sample '{sample}' has {sequence.shape[1]} channels, but "
                    f"{width} in {first}. Make the features of all samples in the same way."
                )
    return width


def _split(part: Part, widths: Mapping[Modality, int]) -> Split:
    """The sequences of one split, one after another."""
    features = {}
    for modality, width in widths.items():
        masks = part.seen.get(modality, [None] * len(part.ids))
        read = [_upto_last(x, mask) for x, mask in zip(part.sequences[modality], masks, strict=True)]
        features[modality] = _one_after_another(read, width)
    return Split(tuple(part.ids), features, dict(part.targets))


def _upto_last(x: Array | None, mask: Array | None) -> tuple[Array, Array] | None:
    """Frames up to the last that is real, and which of them are; None where none is."""
    seen = np.ones(0 if x is None else len(x), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    if x is None or not seen.any():
        return None
    last = int(seen.nonzero()[0][-1]) + 1
    return x[:last], seen[:last]


def _one_after_another(read: Sequence[tuple[Array, Array] | None], width: int) -> Sequences:
    """The frames of all samples in float32, and a frame of zeros after them."""
    there = [each for each in read if each is not None]
    if not there:
        return Sequences.none(len(read), width)
    lengths = torch.tensor([0 if each is None else len(each[0]) for each in read])
    total = int(lengths.sum())
    values, seen = np.zeros((total + 1, width), dtype=np.float32), np.concatenate([mask for _, mask in there])
    with np.errstate(over="ignore", invalid="ignore"):
        np.concatenate([x for x, _ in there], out=values[:total], casting="unsafe")
    values[:total][~seen] = 0
    marked = None if seen.all() else torch.from_numpy(np.append(seen, False))
    return Sequences(torch.from_numpy(values), lengths.cumsum(0) - lengths, lengths, marked, zero=total)
