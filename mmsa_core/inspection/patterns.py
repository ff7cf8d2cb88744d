"""Missing patterns: how many samples of each split have which modalities."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.inspection.blocks import Present, present
from mmsa_core.types import Modality

Pattern = tuple[Modality, ...]
"""The modalities that a sample has, in the corpus' order; empty where it has none."""


def modalities(corpus: Corpus) -> tuple[Modality, ...]:
    """The modalities of all splits, in the order in which they come first."""
    return tuple(dict.fromkeys(m for split in corpus.splits.values() for m in split.features))


def presence(split: Split) -> dict[Modality, Present]:
    """Which rows have which modality."""
    return {modality: present(split, modality) for modality in split.features}


def patterns(split: Split) -> Mapping[Pattern, int]:
    """Rows of each pattern, the most complete first."""
    found = presence(split)
    rows = np.stack([*found.values()], axis=1) if found else np.zeros((len(split), 0), dtype=np.bool_)
    count = Counter(tuple(m for m, has in zip(found, row, strict=True) if has) for row in rows.tolist())
    order = list(found)
    return dict(sorted(count.items(), key=lambda each: (-len(each[0]), [order.index(m) for m in each[0]])))


def shown(pattern: Pattern) -> str:
    """A pattern as a person reads it."""
    return " + ".join(pattern) or "nothing"
