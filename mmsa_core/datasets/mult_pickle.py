"""The pickles of MulT (Tsai et al., ACL 2019), and what reading them has in common with MMSA's.

A file is a dict of splits; a split is a dict with an array [rows, frames, channels] of each
modality, `labels` and `id`. A frame, or a whole modality of a row, is missing where it is all zeros.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpus import LABEL, LABELS, SCORE, Corpus, Split
from mmsa_core.datasets.unpickle import read
from mmsa_core.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]
MMSA_KEYS = {"regression_labels", "classification_labels", "raw_text", "text_bert", "audio_lengths", "vision_lengths"}
"""Keys that only MMSA's schema has."""


class PickleConfig(DatasetConfig):
    """What both pickle schemas need to know."""

    path: Path
    """The pickle; a relative path starts at the folder where the command runs."""
    modalities: dict[str, str] = Field({"text": "text", "audio": "audio", "vision": "vision"}, min_length=1)
    """Our name of each modality, in the order wanted, and its key in the file."""


class MultPickle(Dataset):
    """Reads a pickle of MulT's schema; `labels` become `score`, `label` or `labels` by their shape."""

    class Config(PickleConfig): ...

    def load(self) -> Corpus:
        splits, digest = read_splits(self.config.path)
        keys = {key for data in splits.values() for key in data}
        if "labels" not in keys and keys & MMSA_KEYS:
            raise UserError(
                f"{self.config.path}: not MulT's schema: no 'labels', but {_names(keys & MMSA_KEYS)}, as MMSA's files "
                f"have. Set data.name: mmsa-pickle."
            )
        return corpus(self.config, splits, digest, lambda rows, key, features: nonzero(features), targets)


def targets(rows: "Rows") -> dict[str, Tensor]:
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


@dataclass(frozen=True)
class Rows:
    """One split of a file; every column has one entry for each row."""

    where: str
    """File and split, for messages."""
    name: str
    data: Mapping[str, Any]
    count: int
    notes: list[str] = field(default_factory=list)

    def numbers(self, key: str) -> Array:
        """A column of numbers, as an array."""
        try:
            values = np.asarray(self.data[key])
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise UserError(f"{self.where}: '{key}' cannot be made one array ({error!s:.200})") from error
        if values.dtype.kind not in "biuf" or values.ndim == 0:
            found = f"{type(self.data[key]).__name__} of type {values.dtype}, shape {values.shape}"
            raise UserError(f"{self.where}: '{key}' must be an array of numbers; found {found}")
        if len(values) != self.count:
            raise UserError(
                f"{self.where}: '{key}' has {len(values)} rows, but '{_first(self.data)}' has {self.count}. "
                f"Every key of a split must have as many; the file is damaged or was cut unevenly."
            )
        return values

    def features(self, key: str) -> Float[Tensor, "rows time channels"]:
        """The feature sequences under a key."""
        values = self.numbers(key)
        if values.ndim != 3 or values.dtype.kind != "f" or 0 in values.shape[1:]:
            raise UserError(
                f"{self.where}: features '{key}' must be floats of shape [rows, frames, channels]; found "
                f"{values.dtype} of shape {values.shape}. Choose another key in data.modalities, or reshape them."
            )
        return float32(values)

    def ids(self) -> tuple[str, ...]:
        """The samples' names; parts ([N,3] in MulT) are joined as MMSA does, 'video$_$clip'."""
        if "id" not in self.data:
            return tuple(f"{self.name}-{row}" for row in range(self.count))
        values = _listed(self.data["id"])
        if values is None or len(values) != self.count:
            found = type(self.data["id"]).__name__ if values is None else f"{len(values)} entries"
            raise UserError(f"{self.where}: 'id' must name each of the {self.count} rows; found {found}")
        try:
            return tuple(_id(value) or f"{self.name}-{row}" for row, value in enumerate(values))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.where}: 'id' must be text, or the parts of one; {error!s:.200}") from error


Observe = Callable[[Rows, str, Float[Tensor, "rows time channels"]], Bool[Tensor, "rows time"]]
"""Which frames are real: from the split, the modality's key and its features."""


def read_splits(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The splits of a file, 'dev' renamed 'valid', and its SHA-256."""
    data, digest = read(path.expanduser())
    named = isinstance(data, dict) and data and all(isinstance(name, str) and name.isprintable() for name in data)
    if not named or not all(isinstance(split, dict) for split in data.values()):
        found = f"keys {_names(data)}" if named else type(data).__name__
        raise UserError(
            f"{path}: expected a dict of splits, {{'train': {{...}}, 'valid': {{...}}, 'test': {{...}}}}; "
            f"found {found}. Put each split's arrays into a dict under the split's name."
        )
    renamed = {"valid" if name == "dev" and "valid" not in data else name: split for name, split in data.items()}
    return {name: {k: v for k, v in split.items() if isinstance(k, str)} for name, split in renamed.items()}, digest


def corpus(
    config: Any,
    splits: Mapping[str, dict[str, Any]],
    digest: str,
    observe: Observe,
    target: Callable[[Rows], dict[str, Tensor]],
    names: Mapping[str, tuple[str, ...]] | None = None,
) -> Corpus:
    """The splits with their features, visible frames and targets, and notes on what is missing."""
    _check_keys(config, splits)
    loaded: dict[str, Split] = {}
    notes: list[str] = []
    widths: dict[str, int] = {}
    for name, data in splits.items():
        first = {key: data[key] for key in (*config.modalities.values(), *data) if key in data}
        where = f"{config.path}, split {name!r}"
        rows = Rows(where, name, first, _count(first, where), notes)
        features = {m: rows.features(key) for m, key in config.modalities.items() if key in data}
        for modality, x in features.items():
            if widths.setdefault(modality, x.shape[2]) != x.shape[2]:
                raise UserError(
                    f"{where}: {modality} has {x.shape[2]} channels, but {widths[modality]} in the splits before it. "
                    f"Make the features of all splits in the same way."
                )
        observed = {m: observe(rows, config.modalities[m], x) & present(x) for m, x in features.items()}
        loaded[name] = Split(rows.ids(), features, observed, target(rows))
    complete = {name: _filled(split, tuple(config.modalities), widths) for name, split in loaded.items()}
    for name, split in complete.items():
        notes += describe(name, split, absent=set(config.modalities) - set(loaded[name].features))
    return Corpus(complete, digest, tuple(notes), names or {})


def describe(name: str, split: Split, absent: set[str]) -> list[str]:
    """Sentences on what is missing in a split."""
    notes = []
    for modality, observed in split.observed.items():
        lost = int((~observed.any(dim=1)).sum())
        if modality in absent:
            notes.append(f"{name}: {modality} is not in the file and counts as missing in all {len(split)} rows")
        elif lost:
            share = f"all {len(split)}" if lost == len(split) else f"{lost} of {len(split)}"
            notes.append(f"{name}: {modality} is missing in {share} rows")
    nothing = int((~torch.stack([o.any(dim=1) for o in split.observed.values()]).any(dim=0)).sum())
    if nothing:
        notes.append(f"{name}: {nothing} of {len(split)} rows have no modality at all")
    return notes


def nonzero(features: Float[Tensor, "rows time channels"]) -> Bool[Tensor, "rows time"]:
    """Frames that are not all zeros (a NaN is not zero)."""
    return (features != 0).any(dim=2)


def present(features: Float[Tensor, "rows time channels"]) -> Bool[Tensor, "rows 1"]:
    """Rows that are not all zeros."""
    return nonzero(features).any(dim=1, keepdim=True)


def float32(values: Array) -> Float[Tensor, "*shape"]:
    """A float32 copy, in native byte order; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return torch.from_numpy(np.array(values, dtype=np.float32, order="C", subok=False))


def _check_keys(config: Any, splits: Mapping[str, dict[str, Any]]) -> None:
    keys = {key for data in splits.values() for key in data}
    for modality, key in config.modalities.items():
        if key not in keys:
            raise UserError(
                f"{config.path}: no split has '{key}', the key of modality '{modality}'; keys found: {_names(keys)}. "
                f"Name the modalities that the file has in data.modalities, as {{our name: key in the file}}."
            )


def _filled(split: Split, modalities: tuple[str, ...], widths: Mapping[str, int]) -> Split:
    """With one empty frame for each modality that the file lacks here."""
    features = {m: torch.zeros(len(split), 1, widths[m]) for m in modalities}
    observed = {m: torch.zeros(len(split), 1, dtype=torch.bool) for m in modalities}
    return Split(split.ids, {**features, **split.features}, {**observed, **split.observed}, split.targets)


def _first(data: Mapping[str, Any]) -> str:
    """The key that says how many rows a split has."""
    return next((key for key, value in data.items() if _listed(value) is not None), "")


def _count(data: Mapping[str, Any], where: str) -> int:
    if not _first(data):
        raise UserError(f"{where}: no arrays or lists; keys found: {_names(data)}. Put the split's columns here.")
    return len(data[_first(data)])


def _listed(value: Any) -> Any:
    """A list, tuple or array with a first dimension; None if it is anything else."""
    return value if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim) else None


def _id(value: Any) -> str:
    parts = value.ravel() if isinstance(value, np.ndarray) else value if isinstance(value, list | tuple) else [value]
    texts = [part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in parts]
    return "$_$".join(text for text in texts if text).encode("utf-8", "replace").decode()


def _names(keys: Any) -> str:
    shown = sorted(f"{key!r:.60}" for key in keys)
    return ", ".join(shown[:20]) + (" ..." if len(shown) > 20 else "") or "none"
