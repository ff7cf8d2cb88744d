"""Our own format, as `mmsa data convert` writes it: memory-mapped, so that opening reads next to nothing."""

import os
import stat
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus, Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.datasets import layout
from mmsa_core.datasets.layout import ENDING, About
from mmsa_core.errors import UserError
from mmsa_core.example import Example

FIRST = ("train", "valid", "test")
SHAPES = {SCORE: ("F32", 1), LABEL: ("I64", 1), LABELS: ("I64", 2)}
"""Type and number of dimensions of the targets that tasks know."""


class StoredCorpus(Dataset):
    """Reads a folder that `mmsa data convert` wrote. Frames stay in the files, whose pages processes share."""

    class Config(DatasetConfig):
        path: Path
        """The folder; a relative path starts at the folder where the command runs."""
        verify: bool = False
        """Read everything once and compare its SHA-256, frames included; without it what is small is compared."""

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.written import written

        return [Example({"path": written("safetensors", folder)})]

    def load(self) -> Corpus:
        found = dict(read(path, self.config.verify) for path in files(self.config.path.expanduser()))
        first, _, _ = next(iter(found.values()))
        for about, _, _ in found.values():
            if (about.names, about.source) != (first.names, first.source):
                raise UserError(
                    f"{self.config.path}: splits '{first.split}' and '{about.split}' are of different conversions; "
                    "keep the files of one conversion in a folder"
                )
        digest = sha256("\n".join(sorted(digest for _, _, digest in found.values())).encode()).hexdigest()
        names = {key: tuple(of) for key, of in first.names.items()}
        splits = {name: split for name, (_, split, _) in found.items()}
        return Corpus(splits, digest, first.notes, names, first.source.sha256 or None)


def header(path: Path) -> About | None:
    """What a file says of itself; None where it is not of our format, damaged, or of another version."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return layout.read(file.metadata() or {}, str(path))[0]
    except (OSError, SafetensorError, UserError):
        return None


def files(folder: Path) -> list[Path]:
    """The files of a folder, train, valid and test first; whatever else ends as they do is refused."""
    if not folder.is_dir():
        state = "is no folder" if folder.exists() else "does not exist"
        raise UserError(
            f"{folder}: {state}. Set data.path to a folder that `mmsa data convert` wrote, or data.name to the reader "
            f"of the file; a relative path starts at the folder where the command runs ({Path.cwd()})."
        )
    found = sorted(folder.glob(f"*{ENDING}"))
    found.sort(key=lambda path: FIRST.index(path.stem) if path.stem in FIRST else len(FIRST))
    if not found:
        raise UserError(f"{folder}: holds no *{ENDING}; `mmsa data convert IN {folder.name}` writes such a folder")
    for path in found:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise UserError(f"{path}: a link or something else that is no file; put the file itself there")
    return found


def read(path: Path, verify: bool) -> tuple[str, tuple[About, Split, str]]:
    """Name, description, samples and digest of one file; nothing in it is believed before it is compared."""
    try:
        with safe_open(path, framework="pt") as file:  # compares all offsets and sizes with the file's
            about, digest = layout.read(file.metadata() or {}, str(path))
            _check_tensors(file, about, str(path))
            tensors = {name: file.get_tensor(name) for name in about.tensors}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error!s:.200}). Convert or copy it again.") from error
    if about.split != path.stem:
        raise UserError(f"{path}: holds the split '{about.split}'; give the file its name back")
    frames = {layout.values(modality.name) for modality in about.modalities}
    for name, x in tensors.items():
        if (verify or name not in frames) and hashed(x) != about.tensors[name].sha256:
            raise UserError(
                f"{path}: '{name}' does not fit its SHA-256: the file is damaged. Convert or copy it again."
            )
    return about.split, (about, _split(about, tensors, str(path)), digest)


def hashed(x: Tensor) -> str:
    """The SHA-256 of a tensor's bytes."""
    return sha256(x.reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def _check_tensors(file: Any, about: About, where: str) -> None:
    """Compare names, types and shapes with the description, before any tensor is touched."""
    names = layout.expected(about)
    if set(file.keys()) != names or set(about.tensors) != names:
        odd = sorted((set(file.keys()) | set(about.tensors)) ^ names | (set(file.keys()) ^ names))
        raise UserError(f"{where}: tensors and description differ at {', '.join(odd)!s:.200}. Convert again.")
    n = about.samples
    wanted: dict[str, tuple[Iterable[str], tuple[int | None, ...]]] = {
        layout.IDS: (["U8"], (None,)),
        layout.ENDS: (["I64"], (n,)),
    }
    for name in about.targets:
        kind, dimensions = SHAPES.get(name, (None, None))
        shape = about.tensors[layout.target(name)].shape
        rest = shape[1:] if dimensions is None else (None,) * (dimensions - 1)
        wanted[layout.target(name)] = (["F32", "I64"] if kind is None else [kind], (n, *rest))
    for modality in about.modalities:
        frames = about.tensors[layout.values(modality.name)].shape[0:1]
        wanted[layout.values(modality.name)] = (["F16", "F32"], (*frames, modality.channels))
        wanted[layout.lengths(modality.name)] = (["I64"], (n,))
        wanted[layout.seen(modality.name)] = (["U8"], frames)
    for name, stored in about.tensors.items():
        there = file.get_slice(name)
        kinds, fitting = wanted[name]
        fits = len(fitting) == len(stored.shape) and all(
            b in (None, a) for a, b in zip(stored.shape, fitting, strict=True)
        )
        same = (there.get_dtype(), tuple(there.get_shape())) == (stored.dtype, stored.shape)
        if not same or not fits or stored.dtype not in kinds:
            raise UserError(
                f"{where}: '{name}' has type {there.get_dtype()} and shape {there.get_shape()}; expected "
                f"{' or '.join(kinds)}, {list(fitting)}. Convert again."
            )


def _split(about: About, tensors: dict[str, Tensor], where: str) -> Split:
    features = {}
    for modality in about.modalities:
        values, lengths = tensors[layout.values(modality.name)], tensors[layout.lengths(modality.name)]
        frames = len(values) - 1
        bad = (lengths < 0) | (lengths > frames)
        if bad.any() or int(lengths.sum()) != frames or values[-1].any():
            raise UserError(
                f"{where}: the lengths of '{modality.name}' do not add up to its {frames} frames, or no frame of zeros "
                "follows them. Convert again."
            )
        starts = lengths.cumsum(0) - lengths
        seen = _seen(tensors.get(layout.seen(modality.name)), starts, lengths, f"{where}: '{modality.name}'")
        features[modality.name] = Sequences(values, starts, lengths, seen, modality.finite, frames)
    targets = {name: tensors[layout.target(name)] for name in about.targets}
    return Split(_ids(tensors[layout.IDS], tensors[layout.ENDS], where), features, targets)


def _seen(stored: Tensor | None, starts: Tensor, lengths: Tensor, where: str) -> Tensor | None:
    if stored is None:
        return None
    last = (starts + lengths - 1)[lengths > 0]
    if (stored > 1).any() or not (stored[last] == 1).all():
        raise UserError(
            f"{where}: what is missing is not marked by 0 and 1, or a sequence ends with it. Convert again."
        )
    return stored.bool()


def _ids(content: Tensor, ends: Tensor, where: str) -> tuple[str, ...]:
    places = [0, *ends.tolist()]
    if any(a > b for a, b in pairwise(places)) or places[-1] != len(content):
        raise UserError(f"{where}: the ids' ends do not fit their {len(content)} bytes. Convert again.")
    whole = content.numpy().tobytes()
    try:
        text = whole.decode()
        if len(text) == len(whole):  # a byte for each letter
            return tuple(text[a:b] for a, b in pairwise(places))
        return tuple(whole[a:b].decode() for a, b in pairwise(places))
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: the ids are not UTF-8 ({error}). Convert again.") from error
