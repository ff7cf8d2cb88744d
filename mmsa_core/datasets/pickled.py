"""What the readers of both pickle schemas have in common: splits, columns, ids, and what is missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from mmsa_core.components import DatasetConfig
from mmsa_core.corpora.corpus import Corpus, Split, missing_notes
from mmsa_core.corpora.sequences import Sequences
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
    ids: str = "id"
    """Key of the samples' names."""
    absent: Literal["refuse", "missing"] = "refuse"
    """A modality whose key no split has: refuse the file, or count it as missing everywhere (`mmsa predict` does)."""


@dataclass(frozen=True)
class Rows:
    """One split of a file; every column has one entry for each row."""

    where: str
    """File and split, for messages."""
    name: str
    data: Mapping[str, Any]
    count: int
    notes: list[str] = field(default_factory=list)
    id_key: str = "id"

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
        key = self.id_key
        if key not in self.data:
            return tuple(f"{self.name}-{row}" for row in range(self.count))
        values = _listed(self.data[key])
        if values is None or len(values) != self.count:
            found = type(self.data[key]).__name__ if values is None else f"{len(values)} entries"
            raise UserError(f"{self.where}: '{key}' must name each of the {self.count} rows; found {found}")
        try:
            return tuple(_id(value) or f"{self.name}-{row}" for row, value in enumerate(values))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.where}: '{key}' must be text, or the parts of one; {error!s:.200}") from error


Features = Callable[[Rows, str], Float[Tensor, "rows time channels"]]
"""The feature sequences under a modality's key."""
Observe = Callable[[Rows, str, Float[Tensor, "rows time channels"]], Bool[Tensor, "rows time"]]
"""Which frames are real: from the split, the modality's key and its features."""


def read_splits(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The splits of a file, 'dev' renamed 'valid', and its SHA-256."""
    data, digest = read(path.expanduser())
    return checked(data, path), digest


def checked(data: Any, path: Path) -> dict[str, dict[str, Any]]:
    """A file's content as a dict of splits, 'dev' renamed 'valid'."""
    named = isinstance(data, dict) and data and all(isinstance(name, str) and name.isprintable() for name in data)
    if not named or not all(isinstance(split, dict) for split in data.values()):
        found = f"keys {shown(data)}" if named else type(data).__name__
        raise UserError(
            f"{path}: expected a dict of splits, {{'train': {{...}}, 'valid': {{...}}, 'test': {{...}}}}; "
            f"found {found}. Put each split's arrays into a dict under the split's name."
        )
    renamed = {"valid" if name == "dev" and "valid" not in data else name: split for name, split in data.items()}
    return {name: {k: v for k, v in split.items() if isinstance(k, str)} for name, split in renamed.items()}


def corpus(
    config: Any,
    splits: Mapping[str, dict[str, Any]],
    digest: str,
    observe: Observe,
    target: Callable[[Rows], dict[str, Tensor]],
    names: Mapping[str, tuple[str, ...]] | None = None,
    features_of: Features = Rows.features,
) -> Corpus:
    """The splits with their features, visible frames and targets, and notes on what is missing."""
    modalities = _found_keys(config, splits)
    loaded: dict[str, Split] = {}
    notes: list[str] = []
    widths: dict[str, int] = {}
    for name, data in splits.items():
        first = {key: data[key] for key in (*modalities.values(), *data) if key in data}
        where = f"{config.path}, split {name!r}"
        rows = Rows(where, name, first, _count(first, where), notes, config.ids)
        features = {m: features_of(rows, key) for m, key in modalities.items() if key in data}
        for modality, x in features.items():
            if widths.setdefault(modality, x.shape[2]) != x.shape[2]:
                raise UserError(
                    f"{where}: {modality} has {x.shape[2]} channels, but {widths[modality]} in the splits before it. "
                    f"Make the features of all splits in the same way."
                )
        observed = {m: observe(rows, modalities[m], x) & present(x) for m, x in features.items()}
        loaded[name] = Split.padded(rows.ids(), features, observed, target(rows))
    complete = {name: _filled(split, tuple(modalities), widths) for name, split in loaded.items()}
    for name, split in complete.items():
        notes += missing_notes(name, split, absent=set(modalities) - set(loaded[name].features))
    return Corpus(complete, digest, tuple(notes), names or {})


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


def _found_keys(config: Any, splits: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """The modalities of which the file has the key; the others are refused, unless they may be absent."""
    keys = {key for data in splits.values() for key in data}
    found = {modality: key for modality, key in config.modalities.items() if key in keys}
    lacking = [f"'{key}', the key of modality '{m}'" for m, key in config.modalities.items() if m not in found]
    if lacking and (config.absent == "refuse" or not found):
        raise UserError(
            f"{config.path}: no split has {' or '.join(lacking)}; keys found: {shown(keys)}. "
            f"Name the modalities that the file has in data.modalities, as {{our name: key in the file}}."
        )
    return found


def _filled(split: Split, modalities: tuple[str, ...], widths: Mapping[str, int]) -> Split:
    """With a sequence without frames for each modality that the file lacks here."""
    lacking = {m: Sequences.none(len(split), widths[m]) for m in modalities}
    return replace(split, features=lacking | dict(split.features))


def _first(data: Mapping[str, Any]) -> str:
    """The key that says how many rows a split has."""
    return next((key for key, value in data.items() if _listed(value) is not None), "")


def _count(data: Mapping[str, Any], where: str) -> int:
    if not _first(data):
        raise UserError(f"{where}: no arrays or lists; keys found: {shown(data)}. Put the split's columns here.")
    return len(data[_first(data)])


def _listed(value: Any) -> Any:
    """A list, tuple or array with a first dimension; None if it is anything else."""
    return value if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim) else None


def _id(value: Any) -> str:
    parts = value.ravel() if isinstance(value, np.ndarray) else value if isinstance(value, list | tuple) else [value]
    texts = [part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in parts]
    return "$_$".join(text for text in texts if text).encode("utf-8", "replace").decode()


def shown(keys: Any) -> str:
    """Keys of a file, in quotes; a long list is cut."""
    shown = sorted(f"{key!r:.60}" for key in keys)
    return ", ".join(shown[:20]) + (" ..." if len(shown) > 20 else "") or "none"
