"""Corpora made by hand: every sequence is a list of frames, None where it is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmsa_core.corpus import Corpus, Split
from mmsa_core.inspection.facts import facts
from mmsa_core.inspection.traps import warnings


def split(ids, targets=None, **features):
    """A split of sequences: per modality a list of frames for each row; a frame None is not observed."""
    padded, observed = {}, {}
    for modality, rows in features.items():
        rows = [[] if row is None else row for row in rows]
        width = next(len(frame) for row in rows for frame in row if frame is not None)
        time = max(1, *map(len, rows))
        x, seen = torch.full((len(rows), time, width), 7.0), torch.zeros(len(rows), time, dtype=torch.bool)
        for number, row in enumerate(rows):
            for place, frame in enumerate(row):
                if frame is not None:
                    x[number, place], seen[number, place] = torch.tensor(frame, dtype=torch.float32), True
        padded[modality], observed[modality] = x, seen
    return Split(tuple(ids), padded, observed, targets or {})


def arrays(ids, targets=None, present=None, **features):
    """A split of whole arrays [rows, time, channels]; `present` says which rows have which modality."""
    x = {m: torch.as_tensor(np.asarray(values), dtype=torch.float32) for m, values in features.items()}
    observed = {m: torch.ones(values.shape[:2], dtype=torch.bool) for m, values in x.items()}
    for modality, rows in (present or {}).items():
        observed[modality] &= torch.as_tensor(np.asarray(rows))[:, None]
    return Split(tuple(ids), x, observed, targets or {})


def corpus(notes=(), names=None, **splits):
    return Corpus(splits, "0" * 64, tuple(notes), names or {})


def score(*values):
    return {"score": torch.tensor(values, dtype=torch.float32)}


def warned(found, looks=None):
    """The names of the traps, and their warnings."""
    return {each.trap: each for each in warnings(found, facts(found, looks))}


class Tools:
    split, arrays, corpus, score, warned = map(staticmethod, (split, arrays, corpus, score, warned))
    replace = staticmethod(replace)


@pytest.fixture(scope="session")
def by_hand():
    return Tools
