"""What writers read of a split."""

from collections.abc import Iterator

import numpy as np

from mmsa_core import dense
from mmsa_core.corpus import Corpus, Split
from mmsa_core.datasets.parts import Array
from mmsa_core.types import Modality


def sequences(split: Split, modality: Modality) -> Iterator[tuple[Array | None, Array]]:
    """Each sample's frames up to the last observed one [frames, channels], None without any, and which are observed."""
    features, observed = (x.numpy() for x in dense.of(split, modality))
    for x, seen in zip(features, observed, strict=True):
        end = int(seen.nonzero()[0][-1]) + 1 if seen.any() else 0
        yield (x[:end] if end else None), seen[:end]


def padded(split: Split, modality: Modality, dtype: type[np.floating]) -> tuple[Array, Array]:
    """A modality as one array [rows, frames, channels], zero where nothing is observed, and each row's length."""
    features, observed = (x.numpy() for x in dense.of(split, modality))
    values = np.where(observed[:, :, None], features, 0).astype(dtype, copy=False)
    return values, np.array([len(seen) for _, seen in sequences(split, modality)], dtype=np.int64)


def holes(corpus: Corpus) -> tuple[str, ...]:
    """A sentence where frames are missing within a sequence, for formats that keep only the frames that are there."""
    found = sum(
        int((~seen).any())
        for split in corpus.splits.values()
        for m in split.features
        for _, seen in sequences(split, m)
    )
    return (f"{found} sequences have missing frames before their end, which this format cannot hold",) if found else ()


def others(corpus: Corpus, held: set[str]) -> tuple[str, ...]:
    """A sentence on the targets that a format has no place for."""
    lost = sorted({name for split in corpus.splits.values() for name in split.targets} - held)
    return (f"targets {', '.join(lost)} have no place in this format",) if lost else ()
