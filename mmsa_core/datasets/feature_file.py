"""One sample's features from a .npy or .npz file: what its header claims is checked before memory is taken."""

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from mmsa_core.datasets.parts import Array
from mmsa_core.errors import UserError

RATIO, FLOOR = 100, 16 << 20
"""A compressed member may be so many times as large as its file, and at least so many bytes."""
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
NUMBERS = "biuf"


def read(content: bytes, path: Path, key: str) -> Array:
    """The array [frames, channels] of a file's bytes; `key` picks one of several in a .npz.

    Raises:
        UserError: with what is wrong in the file; the caller says which row named it.
    """
    try:
        if path.suffix == ".npz":
            return _member(content, key)
        return array(io.BytesIO(content), len(content))
    except UserError:
        raise
    except Exception as error:  # numpy and zipfile raise many kinds at broken bytes
        raise UserError(
            f"not a whole {path.suffix} file of numbers ({type(error).__name__}: {error!s:.200}); it has "
            f"{len(content)} bytes and starts with {content[:16]!r}. Write it again with numpy.save"
        ) from error


def array(file: IO[bytes], size: int) -> Array:
    """The array of an open .npy of `size` bytes; no object is unpickled."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise UserError(f".npy version {version[0]}.{version[1]}, expected 1.0 or 2.0, as numpy.save writes numbers")
    shape, fortran, kind = HEADERS[version](file)
    if kind.kind not in NUMBERS or kind.hasobject:
        raise UserError(f"an array of type {str(kind)!r:.80}; expected numbers. Nothing was executed")
    claimed, there = math.prod(shape) * kind.itemsize, size - file.tell()
    if any(length < 0 for length in shape) or claimed != there:
        raise UserError(
            f"the header claims shape {shape} of {kind}, {claimed} bytes, but {there} follow it; the file was cut or "
            f"damaged"
        )
    if len(shape) != 2 or not shape[1]:
        raise UserError(f"an array of shape {shape}; expected [frames, channels]")
    found: Array = np.frombuffer(file.read(claimed), dtype=kind).reshape(shape, order="F" if fortran else "C")
    return found


def _member(content: bytes, key: str) -> Array:
    """The only array of a .npz, or the one called `key`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = next(iter(members.values())) if len(members) == 1 else members.get(key)
        if info is None:
            raise UserError(
                f"{len(members)} arrays ({', '.join(sorted(members)[:10]) or 'none'}) and none of them '{key}'; save "
                f"one alone, or call it so"
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError("compressed in another way than numpy.savez_compressed does; save it again")
        if info.file_size > max(RATIO * len(content), FLOOR):
            raise UserError(
                f"its array '{info.filename}' claims {info.file_size} bytes in a file of {len(content)}; more than "
                f"{RATIO} times the file is refused"
            )
        with archive.open(info) as file:
            unpacked = file.read(info.file_size)
            if len(unpacked) != info.file_size or file.read(1):
                raise UserError(f"its array '{info.filename}' has not the {info.file_size} bytes that it claims")
    return array(io.BytesIO(unpacked), len(unpacked))
