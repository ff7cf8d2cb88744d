"""The pickles of MulT (Tsai et al., ACL 2019): MOSI, MOSEI, IEMOCAP and corpora in the same form.

A file is a dict of splits; a split is a dict with an array [rows, frames, channels] of each
modality, `labels` and `id`. A frame, or a whole modality of a row, is missing where it is all zeros.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsa_core.components import Dataset
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus
from mmsa_core.datasets.pickled import MMSA_KEYS, PickleConfig, Rows, corpus, float32, nonzero, read_splits, shown
from mmsa_core.errors import UserError
from mmsa_core.example import Example


class MultPickleConfig(PickleConfig):
    labels: str = "labels"
    """Key of the labels."""
    names: tuple[str, ...] | None = None
    """Names of the classes, or of the binary labels, in the order of the file, which does not say them; IEMOCAP of MulT
    is [neutral, happy, sad, angry]. With names, `task.names` picks and orders the binary labels."""


class MultPickle(Dataset):
    """Reads a pickle of MulT's schema; `labels` become `score`, `label` or `labels` by their shape."""

    Config = MultPickleConfig

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.written import written

        return [Example({"path": written("mult-pickle", folder)})]

    def load(self) -> Corpus:
        config = self.config
        splits, digest = read_splits(config.path)
        keys = {key for data in splits.values() for key in data}
        if config.labels not in keys and keys & MMSA_KEYS:
            raise UserError(
                f"{config.path}: not MulT's schema: no '{config.labels}', but {shown(keys & MMSA_KEYS)}, as MMSA's "
                f"files have. Set data.name: mmsa-pickle."
            )
        names = {} if config.names is None else named(config, splits)
        return corpus(
            config,
            splits,
            digest,
            lambda rows, key, features: nonzero(features),
            lambda rows: targets(rows, config.labels),
            names,
        )


def named(config: MultPickleConfig, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """`data.names` as the names of what the labels are; their number must fit."""
    shapes = {np.shape(data[config.labels]) for data in splits.values() if config.labels in data}
    if not shapes or config.names is None:
        return {}
    shape = sorted(shapes)[0][1:]
    kind, count = (LABEL, shape[1]) if len(shape) == 2 and shape[0] == 1 else (LABELS, shape[0] if shape else 0)
    if len(shape) != 2 or shape == (1, 1) or count != len(config.names):
        raise UserError(
            f"{config.path}: labels of shape [rows, {', '.join(map(str, shape))}] do not fit the {len(config.names)} "
            f"data.names: {', '.join(config.names)}"
        )
    return {kind: config.names}


def targets(rows: Rows, key: str = "labels") -> dict[str, Tensor]:
    """`labels` [N,1,1] are scores, [N,1,K] a one-hot class, [N,L,2] a one-hot answer to each of L questions."""
    if key not in rows.data:
        return {}
    labels = rows.numbers(key)
    shape = labels.shape[1:]
    if shape in ((), (1,), (1, 1)):
        return {SCORE: float32(labels.reshape(rows.count))}
    if len(shape) != 2 or (shape[0] != 1 and shape[1] != 2) or 0 in shape:
        raise UserError(
            f"{rows.where}: labels of shape {labels.shape}; expected [N,1,1] (a score), [N,1,K] (one-hot of K classes) "
            f"or [N,L,2] (two columns for each of L labels). Reshape them where the file was made."
        )
    one_hot = (((labels == 0) | (labels == 1)).all(axis=2) & ((labels == 1).sum(axis=2) == 1)).all(axis=1)
    if not one_hot.all():
        row = int((~one_hot).argmax())
        raise UserError(
            f"{rows.where}: labels of shape {labels.shape} must be one-hot, and {int((~one_hot).sum())} rows are not; "
            f"the first is row {row}: {labels[row].tolist()!s:.200}. Mend them where the file was made."
        )
    classes = torch.from_numpy(labels.argmax(axis=2).astype(np.int64))
    return {LABEL: classes[:, 0]} if shape[0] == 1 else {LABELS: classes}
