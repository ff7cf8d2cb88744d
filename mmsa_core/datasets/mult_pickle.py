"""The pickles of MulT (Tsai et al., ACL 2019): MOSI, MOSEI, IEMOCAP and corpora in the same form.

A file is a dict of splits; a split is a dict with an array [rows, frames, channels] of each
modality, `labels` and `id`. A frame, or a whole modality of a row, is missing where it is all zeros.
"""

import numpy as np
import torch
from torch import Tensor

from mmsa_core.components import Dataset
from mmsa_core.corpus import LABEL, LABELS, SCORE, Corpus
from mmsa_core.datasets.pickled import MMSA_KEYS, PickleConfig, Rows, corpus, float32, nonzero, read_splits, shown
from mmsa_core.errors import UserError


class MultPickle(Dataset):
    """Reads a pickle of MulT's schema; `labels` become `score`, `label` or `labels` by their shape."""

    class Config(PickleConfig): ...

    def load(self) -> Corpus:
        splits, digest = read_splits(self.config.path)
        keys = {key for data in splits.values() for key in data}
        if "labels" not in keys and keys & MMSA_KEYS:
            raise UserError(
                f"{self.config.path}: not MulT's schema: no 'labels', but {shown(keys & MMSA_KEYS)}, as MMSA's files "
                f"have. Set data.name: mmsa-pickle."
            )
        return corpus(self.config, splits, digest, lambda rows, key, features: nonzero(features), targets)


def targets(rows: Rows) -> dict[str, Tensor]:
    """`labels` [N,1,1] are scores, [N,1,K] a one-hot class, [N,L,2] a one-hot answer to each of L questions."""
    if "labels" not in rows.data:
        return {}
    labels = rows.numbers("labels")
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
