"""The pickles of MMSA (Mao et al., ACL 2022 Demo): MOSI, MOSEI, CH-SIMS and what its tools extract.

A file is a dict of splits; a split is a dict with an array [rows, frames, channels] of each
modality, the number of valid frames under `<modality>_lengths`, `text_bert` [rows, 3, frames] (token
ids, attention mask, segment ids), `regression_labels`, `classification_labels`, `annotations` and `id`. CH-SIMS has
labels of each modality alone under `regression_labels_T`, `_A` and `_V`.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.components import Dataset
from mmsa_core.corpora.corpus import LABEL, SCORE, Corpus
from mmsa_core.datasets import labels, tokens
from mmsa_core.datasets.labels import TargetName
from mmsa_core.datasets.pickled import (
    MMSA_KEYS,
    Observe,
    PickleConfig,
    Rows,
    corpus,
    float32,
    nonzero,
    read_splits,
    shown,
)
from mmsa_core.datasets.tokens import TEXT, TOKENS
from mmsa_core.errors import UserError
from mmsa_core.example import Example

SINGLE = {"T": "text", "A": "audio", "V": "vision"}
"""Ends of the keys of labels that were given from one modality alone, and the keys of those modalities."""


class MmsaPickleConfig(PickleConfig):
    tokens: bool = False
    """Read the text as tokens (`text_bert`: ids, attention mask, segment ids) instead of features (`text`), for an
    encoder that takes tokens, such as `bert`."""
    labels: dict[TargetName, str] | None = None
    """Targets and their keys in the file. null reads what the file has of the schema: `score` (regression_labels),
    `label` (classification_labels), and those of one modality alone, `score/text` (regression_labels_T) and so on."""
    classes: tuple[str, ...] | None = None
    """Names of the classes 0, 1, ... as `annotations` has them, for a file without classification_labels: `label` is
    made of the names."""


class MmsaPickle(Dataset):
    """Reads a pickle of MMSA's schema; a file without labels can still be predicted.

    Labels that annotators gave from one modality alone (CH-SIMS) become the targets `score/text`, `score/audio` and
    `score/vision`; `task.source` lets a task learn from one of them.
    """

    Config = MmsaPickleConfig

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.written import written

        return [Example({"path": written("mmsa-pickle", folder)})]

    def load(self) -> Corpus:
        splits, digest = read_splits(self.config.path)
        return mmsa_corpus(self.config, splits, digest)


def mmsa_corpus(
    config: MmsaPickleConfig, splits: Mapping[str, dict[str, Any]], digest: str, observe: Observe | None = None
) -> Corpus:
    """The corpus of splits in MMSA's schema; `observe` says which frames are real, by default `visible`."""
    keys = {key for data in splits.values() for key in data}
    if "labels" in keys and not keys & MMSA_KEYS:
        raise UserError(
            f"{config.path}: not MMSA's schema: 'labels' as in MulT's files, and none of "
            f"{', '.join(sorted(MMSA_KEYS))}. Set data.name: mult-pickle."
        )
    if config.tokens:
        config = config.model_copy(update={"modalities": tokens.modalities(config, keys)})
    chosen = label_keys(config, keys)
    names = {LABEL: config.classes} if config.classes is not None else class_names(splits)
    return corpus(
        config,
        splits,
        digest,
        observe or visible,
        lambda rows: targets(rows, chosen, config.classes),
        names,
        tokens.features,
    )


def label_keys(config: MmsaPickleConfig, keys: Collection[str]) -> dict[str, str]:
    """Targets and their keys: what the recipe says, else those of the schema."""
    if config.labels is not None:
        lacking = [key for key in config.labels.values() if key not in keys]
        if lacking and config.absent == "refuse":
            raise UserError(
                f"{config.path}: no split has {', '.join(map(repr, lacking))}, which data.labels names; keys found: "
                f"{shown(keys)}"
            )
        return dict(config.labels)
    ours = {key: modality for modality, key in config.modalities.items()}
    single = {end: ours.get(key, key) for end, key in SINGLE.items()}
    kinds = {SCORE: "regression_labels", LABEL: "classification_labels"}
    return kinds | {f"{kind}/{m}": f"{key}_{end}" for kind, key in kinds.items() for end, m in single.items()}


def visible(
    rows: Rows, key: str, features: Float[Tensor, "rows time channels"], at_end: bool = False
) -> Bool[Tensor, "rows time"]:
    """Frames before the row's length (`at_end`: the last so many); else what BERT attended to (text); else frames that
    are not all zeros.
    """
    if key == TOKENS:
        return features[:, :, 1] != 0
    if f"{key}_lengths" in rows.data:
        seen = torch.arange(features.shape[1]) < _lengths(rows, f"{key}_lengths", features.shape[1]).unsqueeze(1)
        seen = seen.flip(1) if at_end else seen
        late = int((nonzero(features) & ~seen).any(dim=1).sum())
        if late:
            beyond = "begins before" if at_end else "goes on after"
            rows.notes.append(f"{rows.name}: {key} {beyond} {key}_lengths in {late} of {rows.count} rows; unread")
        return seen
    if key == TEXT and TOKENS in rows.data:
        bert = rows.numbers(TOKENS)
        if bert.ndim == 3 and bert.shape[1] == 3 and bert.shape[2] == features.shape[1]:
            return torch.from_numpy(bert[:, 1] != 0)
    return nonzero(features)


def targets(rows: Rows, keys: Mapping[str, str], classes: tuple[str, ...] | None = None) -> dict[str, Tensor]:
    """Those of the targets that the split has."""
    found: dict[str, Tensor] = {}
    for name, key in keys.items():
        if key not in rows.data:
            continue
        values = _column(rows, key)
        if labels.kind(name) == SCORE:
            found[name] = float32(values)
        elif labels.whole(values).all():
            found[name] = torch.from_numpy(values.astype(np.int64))
        else:
            row = int((~labels.whole(values)).argmax())
            rows.notes.append(f"{rows.name}: {key} are not read: {values[row]} in row {row} is not a class number")
    if LABEL not in found and classes is not None and "annotations" in rows.data:
        found[LABEL] = _annotated(rows, classes)
    return found


def _annotated(rows: Rows, classes: tuple[str, ...]) -> Tensor:
    """The numbers of the classes that `annotations` name."""
    named = list(rows.data["annotations"])
    if len(named) != rows.count:
        raise UserError(f"{rows.where}: 'annotations' has {len(named)} entries for {rows.count} rows")
    for row, name in enumerate(named):
        if str(name) not in classes:
            raise UserError(
                f"{rows.where}: 'annotations' has {str(name)!r:.80} in row {row}, which data.classes does not name; it "
                f"names {', '.join(classes)}"
            )
    return torch.tensor([classes.index(str(name)) for name in named], dtype=torch.int64)


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
    bad = ~labels.whole(lengths) | (lengths < 0) | (lengths > frames)
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
