"""Writes MMSA's schema: arrays of a split under their keys, lengths of all modalities but the text."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.corpora.corpus import LABEL, SCORE, Corpus, Split
from mmsa_core.datasets.mmsa_pickle import SINGLE
from mmsa_core.datasets.tokens import TEXT
from mmsa_core.writers import rows

PROTOCOL = 4
HELD = {
    f"{kind}{of}": f"{key}{end}"
    for kind, key in ((SCORE, "regression_labels"), (LABEL, "classification_labels"))
    for of, end in (("", ""), *((f"/{modality}", f"_{end}") for end, modality in SINGLE.items()))
}
"""Targets that the schema has keys for."""


def write(corpus: Corpus, path: Path) -> tuple[str, ...]:
    """A pickle; frames of the text that are missing are zeros, as its attention mask is not written."""
    names = corpus.names.get(LABEL)
    content = {name: columns(split, np.float32, names) for name, split in corpus.splits.items()}
    with path.open("wb") as file:
        pickle.dump(content, file, PROTOCOL)
    return lost(corpus)


def columns(split: Split, dtype: type[np.floating], names: tuple[str, ...] | None) -> dict[str, Any]:
    """The columns of one split."""
    found: dict[str, Any] = {"id": list(split.ids)}
    for modality in split.features:
        found[modality], lengths = rows.padded(split, modality, dtype)
        if modality != TEXT:
            found[f"{modality}_lengths"] = lengths.tolist()
    for name, key in HELD.items():
        if name in split.targets:
            found[key] = split.targets[name].numpy()
    if names and LABEL in split.targets:
        found["annotations"] = [names[label] for label in split.targets[LABEL].tolist()]
    return found


def lost(corpus: Corpus) -> tuple[str, ...]:
    """What the schema has no place for."""
    found = ("frames that are missing before a sequence's end count as zeros",) if rows.holed(corpus, TEXT) else ()
    return found + rows.others(corpus, set(HELD))
