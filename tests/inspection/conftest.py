"""Corpora made by hand: every sequence is a list of frames, None where it is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.inspection.facts import facts
from mmsa_core.inspection.traps import warnings


def made(ids, features, observed, targets):
    """The one place where a split is made of padded tensors."""
    return Split.padded(tuple(ids), features, observed, targets)


def padded(split, modality):
    """Features [rows, time, channels] and what is observed of them [rows, time], up to the last observed frame."""
    return split.features[modality].padded()


def changed(split, **features):
    """The split with features of its own: modality = (features, observed), and no others."""
    x = {m: given[0] for m, given in features.items()}
    return made(split.ids, x, {m: given[1] for m, given in features.items()}, split.targets)


def split(ids, targets=None, **features):
    """A split of sequences: per modality a list of frames for each row; a frame None is not observed."""
    tensors, observed = {}, {}
    for modality, rows in features.items():
        rows = [[] if row is None else row for row in rows]
        width = next(len(frame) for row in rows for frame in row if frame is not None)
        time = max(1, *map(len, rows))
        x, seen = torch.full((len(rows), time, width), 7.0), torch.zeros(len(rows), time, dtype=torch.bool)
        for number, row in enumerate(rows):
            for place, frame in enumerate(row):
                if frame is not None:
                    x[number, place], seen[number, place] = torch.tensor(frame, dtype=torch.float32), True
        tensors[modality], observed[modality] = x, seen
    return made(ids, tensors, observed, targets or {})


def arrays(ids, targets=None, present=None, **features):
    """A split of whole arrays [rows, time, channels]; `present` says which rows have which modality."""
    x = {m: torch.as_tensor(np.asarray(values), dtype=torch.float32) for m, values in features.items()}
    observed = {m: torch.ones(values.shape[:2], dtype=torch.bool) for m, values in x.items()}
    for modality, rows in (present or {}).items():
        observed[modality] &= torch.as_tensor(np.asarray(rows))[:, None]
    return made(ids, x, observed, targets or {})


def corpus(notes=(), names=None, **splits):
    return Corpus(splits, "0" * 64, tuple(notes), names or {})


def score(*values):
    return {"score": torch.tensor(values, dtype=torch.float32)}


def warned(found, looks=None):
    """The names of the traps, and their warnings."""
    return {each.trap: each for each in warnings(found, facts(found, looks))}


class Tools:
    split, arrays, padded, changed = map(staticmethod, (split, arrays, padded, changed))
    corpus, score, warned = map(staticmethod, (corpus, score, warned))
    replace = staticmethod(replace)


@pytest.fixture(scope="session")
def by_hand():
    return Tools
