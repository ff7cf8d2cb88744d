"""Reads computational sequences (.csd, HDF5): root group / data / entry / {intervals [n, 2], features [n, d]}.

HDF5 can refer to other files (external and soft links, external storage, virtual datasets), load code as a filter, and
claim any size for data that a few bytes fill. All of that is refused before a value is read.
"""

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.datasets.parts import Array
from mmsa_core.errors import UserError

RATIO, FLOOR = 100, 64 << 20
"""The entries of a file, and one chunk, may be so many times as large as the file, and at least so many bytes."""
DEFLATE = 1
FILTERS = {DEFLATE, 2, 3, 32000}
"""deflate, shuffle, fletcher32 and lzf, which need no code from elsewhere."""
PACKED = 1 << 18
"""Bytes; what a smaller chunk can unpack to is no danger."""


@dataclass(frozen=True)
class Frames:
    """Frames of one entry, in the order of the file."""

    intervals: Array
    """Start and end of each frame in seconds, float64 [frames, 2]."""
    features: Array
    """[frames, channels]"""

    def at(self, rows: Array) -> "Frames":
        return Frames(self.intervals[rows], self.features[rows])


def read(path: Path, wanted: Collection[str] | None = None) -> tuple[dict[str, Frames], str]:
    """The entries of a file (those of the wanted videos) and its SHA-256.

    Raises:
        UserError: with the file and the entry at which it is no computational sequence of numbers.
    """
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"{path}: .csd files need h5py ({error}): pip install 'mmsa-core[csd]'") from error
    with path.open("rb") as opened:
        digest = file_digest(opened, "sha256").hexdigest()
    try:
        with h5py.File(path, "r", locking=False) as file:
            return dict(_entries(file, path, wanted)), digest
    except UserError:
        raise
    except Exception as error:  # h5py raises many kinds at broken files
        size = path.stat().st_size
        raise UserError(
            f"{path}: not a whole HDF5 file of numbers ({type(error).__name__}: {error!s:.200}); it has {size} bytes. "
            f"Download or copy it again."
        ) from error


def _entries(file: Any, path: Path, wanted: Collection[str] | None) -> Iterator[tuple[str, Frames]]:
    import h5py

    roots = list(file)
    if len(roots) != 1:
        raise UserError(f"{path}: expected one root group, found {', '.join(roots[:5]) or 'none'}; not the SDK's file")
    data = _own(_own(file, roots[0], h5py.Group, path), "data", h5py.Group, path)
    left = max(RATIO * path.stat().st_size, FLOOR)
    checked = []
    for name in data:
        if wanted is not None and name.split("[")[0] not in wanted:
            continue
        entry = _own(data, name, h5py.Group, path)
        where = f"{path}, entry '{name:.80}'"
        found = {key: _own(entry, key, h5py.Dataset, path) for key in ("intervals", "features")}
        for key, dataset in found.items():
            left -= _size(dataset, f"{where}, {key}", left)
        checked.append((name, found, where))
    for name, found, where in checked:
        yield name, _frames(found["intervals"][()], found["features"][()], where)


def _own(group: Any, name: str, kind: type, path: Path) -> Any:
    """A member that is stored in this very file."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        raise UserError(
            f"{path}: no '{name}' in '{group.name:.80}'; expected root / data / entry / intervals, features"
        )
    if not isinstance(link, h5py.HardLink):
        raise UserError(f"{path}: '{name:.80}' in '{group.name:.80}' is a {type(link).__name__}, which is not followed")
    found = group[name]
    if not isinstance(found, kind):
        raise UserError(f"{path}: '{found.name:.80}' is a {type(found).__name__}, expected a {kind.__name__}")
    return found


def _size(dataset: Any, where: str, left: int) -> int:
    """The bytes that a dataset takes; what is stored elsewhere, is no number or is too large is refused."""
    plist = dataset.id.get_create_plist()
    if dataset.is_virtual or plist.get_external_count():
        raise UserError(f"{where}: stored in another file, which is not opened; copy the data into this one")
    filters = [plist.get_filter(n)[0] for n in range(plist.get_nfilters())]
    if set(filters) - FILTERS or len(set(filters)) < len(filters):
        raise UserError(f"{where}: packed by filters {filters}, twice or with code from elsewhere; use gzip or none")
    if dataset.dtype.kind not in "fiu":
        raise UserError(
            f"{where}: {dataset.dtype} of shape {dataset.shape}; expected numbers. Words and phonemes are no features"
        )
    width = dataset.dtype.itemsize
    claimed: int = prod(dataset.shape) * width
    chunk = prod(dataset.chunks or ()) * width
    if max(claimed, chunk) > left:
        raise UserError(
            f"{where}: claims shape {dataset.shape} (chunks {dataset.chunks}), which makes more than {RATIO} times the "
            f"file's size and is refused"
        )
    if DEFLATE in filters:
        dataset.id.chunk_iter(lambda info: _check_chunk(dataset, info, chunk, where))
    return claimed


def _check_chunk(dataset: Any, info: Any, size: int, where: str) -> None:
    """Refuse a large chunk that unpacks to more than its size: HDF5 would unpack it to the end."""
    if info.size <= PACKED:
        return
    if info.size > size + size // 100 + 1024:
        raise UserError(f"{where}: a chunk of {size} bytes is stored in {info.size}; write the file again")
    left, unpacker = size, zlib.decompressobj()
    packed = dataset.id.read_direct_chunk(info.chunk_offset)[1]
    while packed and not unpacker.eof and left >= 0:
        left -= len(unpacker.decompress(packed, PACKED))
        packed = unpacker.unconsumed_tail
    if left < 0:
        raise UserError(f"{where}: a chunk unpacks to more than its {size} bytes and is refused")


def _frames(intervals: Array, features: Array, where: str) -> Frames:
    if intervals.ndim == 1:  # one frame, as the SDK also takes it
        intervals, features = intervals[None], features[None]
    if intervals.ndim != 2 or intervals.shape[1] != 2 or features.ndim != 2 or len(intervals) != len(features):
        raise UserError(
            f"{where}: intervals of shape {intervals.shape} and features of shape {features.shape}; expected "
            f"[frames, 2] and [frames, channels]"
        )
    found = intervals.astype(np.float64)
    if not np.isfinite(found).all():
        row = int((~np.isfinite(found).all(axis=1)).argmax())
        raise UserError(f"{where}: interval {row} is {found[row].tolist()}; expected start and end in seconds")
    return Frames(found, features)
