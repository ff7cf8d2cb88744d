"""A corpus from arrays in memory, for a notebook."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.components import Dataset
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus
from mmsa_core.datasets import labels
from mmsa_core.datasets.parts import Array, Part, joined
from mmsa_core.errors import UserError
from mmsa_core.example import Example, Untried
from mmsa_core.types import Modality

WHERE = "from_arrays"


class Arrays(Dataset):
    """Arrays that a program holds: `from_arrays` makes a corpus of them, `experiment.train(..., corpus=...)` takes it.

    The name stands in the recipe, so that the run says where its data came from; a command cannot read them again.
    """

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        raise Untried("its arrays are in the memory of a program: there is nothing that could be read")

    def load(self) -> Corpus:
        raise UserError(
            "data 'arrays' were arrays in the memory of a program and cannot be read again. Hand the corpus over "
            "(mmsa_core.datasets.arrays.from_arrays, then experiment.train(..., corpus=...)), or write the data to a "
            "file and name it: --set data.name=folder --set data.path=FOLDER"
        )


def from_arrays(
    features: Mapping[Modality, Any],
    splits: Sequence[str],
    targets: Mapping[str, Any],
    ids: Sequence[str] | None = None,
    observed: Mapping[Modality, Any] | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Corpus:
    """A corpus of arrays, one entry of each for each sample.

    `features` has for each modality a padded array [samples, frames, channels], or a list of arrays [frames, channels]
    in which None is a missing modality. `observed` may say of a padded array which frames are real [samples, frames];
    without it frames of zeros count as padding. All frames of a list's arrays are real. `splits` names each
    sample's split, `targets` has `score` [samples], `label` [samples] or `labels` [samples, labels], and `names` the
    names of the classes of `label` and of the columns of `labels`.
    """
    rows = len(splits)
    named = [f"sample-{row}" for row in range(rows)] if ids is None else [str(name) for name in ids]
    _rows("ids", named, rows)
    if not features:
        raise UserError(f"{WHERE}: features has no modality; give for example {{'text': array}}")
    read = {m: _listed(m, x, rows, (observed or {}).get(m)) for m, x in features.items()}
    if strange := set(observed or {}) - set(features):
        raise UserError(f"{WHERE}: observed names {', '.join(sorted(strange))}, which features do not have")
    for name, values in targets.items():
        if labels.kind(name) not in (SCORE, LABEL, LABELS):
            raise UserError(f"{WHERE}: target '{name}'; known are {SCORE}, {LABEL} and {LABELS}")
        _rows(f"target '{name}'", values, rows)
    made = {name: labels.target(name, values, WHERE) for name, values in targets.items()}
    members = {name: [row for row in range(rows) if splits[row] == name] for name in dict.fromkeys(splits)}
    parts = {
        str(name): Part(
            ids=[named[row] for row in chosen],
            sequences={m: [found[row] for row in chosen] for m, (found, _) in read.items()},
            targets={name: values[chosen] for name, values in made.items()},
            seen={m: [seen[row] for row in chosen] for m, (_, seen) in read.items()},
        )
        for name, chosen in members.items()
    }
    called = {name: tuple(map(str, found)) for name, found in (names or {}).items()}
    return joined(parts, tuple(features), WHERE, _digest(parts), names=called)


def _listed(modality: Modality, x: Any, rows: int, observed: Any) -> tuple[list[Array | None], list[Array | None]]:
    """The sequences of one modality, and which of their frames are real (None: all)."""
    _rows(f"'{modality}'", x, rows)
    if isinstance(x, list | tuple):
        if observed is not None:
            raise UserError(f"{WHERE}: '{modality}' is a list, whose frames are all real; give no observed for it")
        found = [None if each is None else _numbers(modality, each, row, 2) for row, each in enumerate(x)]
        return found, [None] * rows
    padded = _numbers(modality, x, None, 3)
    seen = (padded != 0).any(axis=2) if observed is None else np.asarray(observed)
    if seen.shape != padded.shape[:2] or seen.dtype.kind != "b":
        raise UserError(
            f"{WHERE}: observed of '{modality}' must be truth values of shape {padded.shape[:2]}, [samples, frames]; "
            f"found {seen.dtype} of shape {seen.shape}"
        )
    return list(padded), list(seen)


def _numbers(modality: Modality, x: Any, row: int | None, dimensions: int) -> Array:
    found = np.asarray(x)
    if found.dtype.kind not in "biuf" or found.ndim != dimensions:
        of = "" if row is None else f" of sample {row}, counted from 0,"
        shape = "[frames, channels], or None" if dimensions == 2 else "[samples, frames, channels], or a list of arrays"
        raise UserError(
            f"{WHERE}: '{modality}'{of} must be numbers of shape {shape}; found {found.dtype} of shape {found.shape}"
        )
    return found


def _rows(what: str, values: Any, rows: int) -> None:
    if len(values) != rows:
        raise UserError(f"{WHERE}: {what} has {len(values)} entries, but splits names {rows} samples")


def _digest(parts: Mapping[str, Part]) -> str:
    """SHA-256 of everything that the corpus is made of."""
    found = sha256()
    for name, part in parts.items():
        found.update(repr((name, list(part.ids))).encode())
        for modality, listed in part.sequences.items():
            for x, seen in zip(listed, part.seen[modality], strict=True):
                about = None if x is None else (x.dtype.str, x.shape)
                found.update(repr((modality, about, seen is None)).encode())
                found.update(b"" if x is None else np.ascontiguousarray(x).tobytes())
                found.update(b"" if seen is None else seen.tobytes())
        for target, values in part.targets.items():
            found.update(repr((target, tuple(values.shape))).encode() + values.numpy().tobytes())
    return found.hexdigest()
