"""Writes MulT's schema: arrays [rows, frames, channels], zeros where nothing is, and one kind of labels."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus, Split
from mmsa_core.writers import rows
from mmsa_core.writers.mmsa_pickle import PROTOCOL


def write(corpus: Corpus, path: Path) -> tuple[str, ...]:
    """A pickle; of several kinds of targets the binary labels, else the score, else the class is written."""
    there = {name for split in corpus.splits.values() for name in split.targets}
    kind = next((name for name in (LABELS, SCORE, LABEL) if name in there), None)
    content = {name: _columns(split, kind, corpus) for name, split in corpus.splits.items()}
    with path.open("wb") as file:
        pickle.dump(content, file, PROTOCOL)
    return rows.others(corpus, {str(kind)})


def _columns(split: Split, kind: str | None, corpus: Corpus) -> dict[str, Any]:
    found: dict[str, Any] = {m: rows.padded(split, m, np.float32)[0] for m in split.features}
    if kind in split.targets:
        values = split.targets[str(kind)].numpy()
        if kind == SCORE:
            found["labels"] = values.reshape(-1, 1, 1)
        else:
            every = [part.targets[str(kind)] for part in corpus.splits.values() if kind in part.targets]
            classes = 2 if kind == LABELS else 1 + max(int(each.max()) for each in every)
            found["labels"] = np.eye(classes, dtype=np.float32)[values.reshape(len(split), -1)]
    found["id"] = np.array([[name, "", ""] for name in split.ids])
    return found
