"""Writes a corpus in our format: equal corpora become equal bytes, in bounded memory, whole or not at all."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.datasets import layout
from mmsa_core.datasets.layout import ENDING, About, Kind, Modality, Source, Stored
from mmsa_core.errors import UserError

DTYPES: Mapping[Kind, torch.dtype] = {
    "F16": torch.float16,
    "F32": torch.float32,
    "I64": torch.int64,
    "U8": torch.uint8,
}


@dataclass(frozen=True)
class Part:
    """One tensor to write, given in pieces so that no copy of the corpus is made."""

    dtype: Kind
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[Tensor]]

    @property
    def size(self) -> int:
        """Bytes."""
        return torch.Size(self.shape).numel() * DTYPES[self.dtype].itemsize


def write(corpus: Corpus, folder: Path, source: Source) -> dict[str, str]:
    """Write a new folder with a file for each split; the SHA-256 of each split's description.

    Raises:
        UserError: if the folder exists, or a split's name cannot be a file's.
    """
    for name in corpus.splits:
        if not re.fullmatch(r"\w[\w.-]{0,99}", name):
            raise UserError(
                f"split {name!r:.100} cannot be a file's name; call it train, valid, test or another word of letters, "
                "digits, '_', '-' and '.'"
            )
    with new_folder(folder) as made:
        return {name: write_split(made / f"{name}{ENDING}", name, corpus, source) for name in corpus.splits}


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that gets its name when the block ends without an error."""
    check_new(folder)
    folder = folder.absolute()
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    made.mkdir()
    try:
        yield made
        _sync(made)
        os.rename(made, folder)  # fails where another program has made a folder with content of this name
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def check_new(folder: Path) -> None:
    """Refuse a folder that exists or cannot be made, before anything is read for it."""
    if os.path.lexists(folder):
        raise UserError(f"{folder}: exists, and nothing is overwritten; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"{folder}: there is no folder {folder.absolute().parent}; make it first")


def write_split(path: Path, name: str, corpus: Corpus, source: Source) -> str:
    """One file. Its beginning, of known length, is written again when the digests are known."""
    split = corpus.splits[name]
    modalities, parts = parts_of(split)
    ordered = dict(sorted(parts.items(), key=lambda item: (-DTYPES[item[1].dtype].itemsize, item[0])))

    def about(digests: Mapping[str, str]) -> str:
        stored = {n: Stored(dtype=p.dtype, shape=p.shape, sha256=digests.get(n, "0" * 64)) for n, p in ordered.items()}
        return About(
            mmsa=version("mmsa-core"),
            split=name,
            samples=len(split),
            modalities=tuple(modalities),
            targets=tuple(split.targets),
            names={key: tuple(of) for key, of in corpus.names.items()},
            notes=corpus.notes,
            source=source,
            tensors=stored,
        ).dump()

    with path.open("xb") as file:
        file.write(beginning(about({}), ordered))
        text = about({n: _written(file, part) for n, part in ordered.items()})
        file.seek(0)
        file.write(beginning(text, ordered))
        file.flush()
        os.fsync(file.fileno())
    return sha256(text.encode()).hexdigest()


def beginning(about: str, parts: Mapping[str, Part]) -> bytes:
    """The length of safetensors' header, and the header: tensors one after another, aligned to 8 bytes."""
    metadata = {"mmsa": about, "sha256": sha256(about.encode()).hexdigest()}
    header: dict[str, Any] = {"__metadata__": metadata}
    at = 0
    for name, part in parts.items():
        header[name] = {"dtype": part.dtype, "shape": part.shape, "data_offsets": [at, at + part.size]}
        at += part.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def parts_of(split: Split) -> tuple[list[Modality], dict[str, Part]]:
    """A split's modalities and tensors."""
    ids = [name.encode() for name in split.ids]
    parts = {
        layout.IDS: _whole("U8", torch.tensor(list(b"".join(ids)), dtype=torch.uint8)),
        layout.ENDS: _whole("I64", torch.tensor([len(name) for name in ids], dtype=torch.int64).cumsum(0)),
    }
    for name, x in split.targets.items():
        parts[layout.target(name)] = _whole("F32" if x.is_floating_point() else "I64", x)
    modalities = []
    for name, of in split.features.items():
        narrow, finite = _looked_at(of)
        holes = of.seen is not None and len(of.places()) < int(of.lengths.sum())
        modalities.append(Modality(name=name, channels=of.channels, holes=holes, finite=finite))
        dtype: Kind = "F16" if narrow else "F32"
        shape = (int(of.lengths.sum()) + 1, of.channels)
        parts[layout.values(name)] = Part(dtype, shape, lambda of=of: _frames(of))  # type: ignore[misc]
        parts[layout.lengths(name)] = _whole("I64", of.lengths)
        if holes and of.seen is not None:
            parts[layout.seen(name)] = _whole("U8", F.pad(of.seen.cpu()[of.frames()], (0, 1)))
    return modalities, parts


def _frames(of: Sequences) -> Iterator[Tensor]:
    """The frames sample by sample in float32, those that are missing as zeros; then one frame of zeros."""
    for samples in of.pieces():
        at = of.frames(samples)
        x = of.values[at].float()
        yield x if of.seen is None else x.masked_fill_(~of.seen[at].unsqueeze(1), 0.0)
    yield torch.zeros(1, of.channels)


def _looked_at(of: Sequences) -> tuple[bool, bool]:
    """Whether float16 holds every value to the bit, and whether all are finite."""
    narrow = finite = True
    for x in _frames(of):
        narrow = narrow and torch.equal(x.half().float().view(torch.int32), x.view(torch.int32))
        finite = finite and bool(x.isfinite().all())
    return narrow, finite


def _whole(dtype: Kind, x: Tensor) -> Part:
    return Part(dtype, tuple(x.shape), lambda: iter([x.cpu()]))


def _written(file: IO[bytes], part: Part) -> str:
    """Write a tensor; the SHA-256 of its bytes."""
    digest = sha256()
    for piece in part.pieces():
        content = piece.to(DTYPES[part.dtype]).contiguous().reshape(-1).view(torch.uint8).numpy().data
        digest.update(content)
        file.write(content)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    """See that a folder's entries are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
