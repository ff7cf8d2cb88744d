"""The pickles of MMSA (Mao et al., ACL 2022 Demo): MOSI, MOSEI, CH-SIMS and what its tools extract.

A file is a dict of splits; a split is a dict with an array [rows, frames, channels] of each
modality, the number of valid frames under `<modality>_lengths`, `text_bert` [rows, 3, frames] (token
ids, attention mask, segment ids), `regression_labels`, `classification_labels`, `annotations` and `id`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.components import Dataset
from mmsa_core.corpus import LABEL, SCORE, Corpus
from mmsa_core.datasets import tokens
from mmsa_core.datasets.pickled import (
    MMSA_KEYS,
    PickleConfig,
    Rows,
    corpus,
    float32,
    nonzero,
    read_splits,
)
from mmsa_core.datasets.tokens import TEXT, TOKENS
from mmsa_core.errors import UserError


class MmsaPickle(Dataset):
    """Reads a pickle of MMSA's schema; a file without labels can still be predicted."""

    class Config(PickleConfig):
        tokens: bool = False
        """Read the text as tokens (`text_bert`: ids, attention mask, segment ids) instead of features (`text`), for an
        encoder that takes tokens, such as `bert`."""

    def load(self) -> Corpus:
        splits, digest = read_splits(self.config.path)
        keys = {key for data in splits.values() for key in data}
        if "labels" in keys and not keys & MMSA_KEYS:
            raise UserError(
                f"{self.config.path}: not MMSA's schema: 'labels' as in MulT's files, and none of "
                f"{', '.join(sorted(MMSA_KEYS))}. Set data.name: mult-pickle."
            )
        config = self.config
        if config.tokens:
            config = config.model_copy(update={"modalities": tokens.modalities(config, keys)})
        return corpus(config, splits, digest, visible, targets, class_names(splits), tokens.features)


def visible(rows: Rows, key: str, features: Float[Tensor, "rows time channels"]) -> Bool[Tensor, "rows time"]:
    """Frames before the row's length; else what BERT attended to (text); else frames that are not all zeros."""
    if key == TOKENS:
        return features[:, :, 1] != 0
    if f"{key}_lengths" in rows.data:
        seen = torch.arange(features.shape[1]) < _lengths(rows, f"{key}_lengths", features.shape[1]).unsqueeze(1)
        late = int((nonzero(features) & ~seen).any(dim=1).sum())
        if late:
            rows.notes.append(f"{rows.name}: {key} goes on after {key}_lengths in {late} of {rows.count} rows; unread")
        return seen
    if key == TEXT and TOKENS in rows.data:
        bert = rows.numbers(TOKENS)
        if bert.ndim == 3 and bert.shape[1] == 3 and bert.shape[2] == features.shape[1]:
            return torch.from_numpy(bert[:, 1] != 0)
    return nonzero(features)


def targets(rows: Rows) -> dict[str, Tensor]:
    """Scores, classes, both or neither, as the split has them."""
    found: dict[str, Tensor] = {}
    if "regression_labels" in rows.data:
        found[SCORE] = float32(_column(rows, "regression_labels"))
    if "classification_labels" in rows.data:
        classes = _column(rows, "classification_labels")
        if _whole(classes).all():
            found[LABEL] = torch.from_numpy(classes.astype(np.int64))
        else:
            row = int((~_whole(classes)).argmax())
            rows.notes.append(
                f"{rows.name}: classification_labels are not read: {classes[row]} in row {row} is not a class number"
            )
    return found


def class_names(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The names of the classes 0, 1, ... if `annotations` give each class one name of its own."""
    pairs: set[tuple[Any, Any]] = set()
    for data in splits.values():
        labels, names = data.get("classification_labels"), data.get("annotations")
        if labels is None or names is None:
            continue
        try:
            pairs |= set(zip(np.asarray(labels).ravel().tolist(), np.asarray(names).ravel().tolist(), strict=True))
        except (ValueError, TypeError, OverflowError, RecursionError):  # not one name for each row
            return {}
    names_of = dict(pairs)
    if set(names_of) != set(range(len(pairs))) or len(set(names_of.values())) != len(pairs):
        return {}
    found = tuple(names_of[label] for label in range(len(pairs)))
    return {LABEL: found} if found and all(isinstance(name, str) and name.isprintable() for name in found) else {}


def _lengths(rows: Rows, key: str, frames: int) -> Tensor:
    lengths = _column(rows, key)
    bad = ~_whole(lengths) | (lengths < 0) | (lengths > frames)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{rows.where}: {key} must be whole numbers from 0 to {frames}, the frames of the array; "
            f"{int(bad.sum())} are not, the first is {lengths[row]} in row {row}. Mend them where the file was made."
        )
    return torch.from_numpy(lengths.astype(np.int64))


def _column(rows: Rows, key: str) -> Any:
    """One number for each row."""
    values = rows.numbers(key)
    if values.size != rows.count:
        raise UserError(f"{rows.where}: '{key}' must have one number for each row; found shape {values.shape}")
    return values.reshape(rows.count)


def _whole(values: Any) -> Any:
    """Which numbers are whole (and of a size that a class or a length can have)."""
    return (np.abs(values.astype(np.float64)) < 2**31) & (values == np.floor(values))
