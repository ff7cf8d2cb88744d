"""What writers read of a split."""

from collections.abc import Iterator

import numpy as np

from mmsa_core.corpora import dense
from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.datasets.parts import Array
from mmsa_core.types import Modality


def sequences(split: Split, modality: Modality) -> Iterator[tuple[Array | None, Array]]:
    """Each sample's frames up to the last observed one [frames, channels], None without any, and which are observed.

    Those that are not observed are zeros; nothing is copied where all are.
    """
    of = split.features[modality]
    for start, length in zip(of.starts.tolist(), of.lengths.tolist(), strict=True):
        x = of.values[start : start + length].float()
        if of.seen is None:
            seen = np.ones(length, dtype=bool)
        else:
            there = of.seen[start : start + length]
            x, seen = x.masked_fill(~there.unsqueeze(1), 0.0), there.numpy()
        yield (x.numpy() if length else None), seen


def padded(split: Split, modality: Modality, dtype: type[np.floating]) -> tuple[Array, Array]:
    """A modality as one array [rows, frames, channels], zero where nothing is observed, and each row's length."""
    x, _ = dense.of(split, modality)
    return x.numpy().astype(dtype, copy=False), split.features[modality].lengths.numpy()


def holed(corpus: Corpus, *others: Modality) -> int:
    """Sequences with missing frames before their end, of all modalities but some."""
    return sum(
        int((~seen).any())
        for split in corpus.splits.values()
        for m, of in split.features.items()
        if m not in others and of.seen is not None
        for _, seen in sequences(split, m)
    )


def holes(corpus: Corpus) -> tuple[str, ...]:
    """A sentence where frames are missing within a sequence, for formats that keep only the frames that are there."""
    found = holed(corpus)
    return (f"{found} sequences have missing frames before their end, which this format cannot hold",) if found else ()


def others(corpus: Corpus, held: set[str]) -> tuple[str, ...]:
    """A sentence on the targets that a format has no place for."""
    lost = sorted({name for split in corpus.splits.values() for name in split.targets} - held)
    return (f"targets {', '.join(lost)} have no place in this format",) if lost else ()
