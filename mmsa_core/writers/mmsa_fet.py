"""Writes what MMSA-FET's `run_dataset` does: MMSA's schema in float64 arrays, and the tool's settings."""

import pickle
from pathlib import Path

import numpy as np

from mmsa_core.corpora.corpus import LABEL, Corpus
from mmsa_core.writers import rows
from mmsa_core.writers.mmsa_pickle import HELD, PROTOCOL, columns, lost


def write(corpus: Corpus, path: Path) -> tuple[str, ...]:
    """A pickle; it has no classes but the annotations that name them (read with data.classes)."""
    content = {}
    for name, split in corpus.splits.items():
        found = columns(split, np.float64, corpus.names.get(LABEL))
        content[name] = {key: np.array(value) for key, value in found.items() if not key.startswith("classification")}
    tools = {"config": {"audio": {"tool": "synthetic"}, "video": {"tool": "synthetic"}, "text": {"model": "synthetic"}}}
    with path.open("wb") as file:
        pickle.dump(content | tools, file, PROTOCOL)
    single = {name for name in HELD if name.startswith(f"{LABEL}/")}
    held = set(HELD) - single - (set() if LABEL in corpus.names else {LABEL})
    return tuple(each for each in lost(corpus) if not each.startswith("targets")) + rows.others(corpus, held)
