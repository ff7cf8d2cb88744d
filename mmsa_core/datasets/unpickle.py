"""Reads pickles of plain data without running what they ask for.

A pickle is a program: it may name any function of Python and have it called. Here a name is looked
up in a short table, `ADMITTED`, of stand-ins written for that purpose; nothing is imported, no
attribute is followed, and numpy's own constructors (which trust the bytes that they are given) are
never handed out. Pickles of Python 2 load too: their byte strings are read as latin-1.
"""

import math
import pickle
import pickletools
import re
import sys
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any

import numpy as np

from mmsa_core.errors import UserError

PLAIN = re.compile(r"[<>=|]?([?bBhHiIlLqQefdg]|b1|i[1248]|u[1248]|f(2|4|8|16)|c(8|16)|[SU]\d+|O[48]?)")
"""Types of array elements: truth values, numbers, text of a fixed width, objects of the pickle."""
NEVER = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
"""Instructions that reach for something outside the file."""


class RefusedError(pickle.UnpicklingError):
    """The pickle asks for something that is not data."""


def read(path: Path) -> tuple[Any, str]:
    """The content of a pickle and the SHA-256 of the file; anything but plain data is a `UserError`."""
    try:
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
            file.seek(0)
            scan(file)
            file.seek(0)
            return PlainUnpickler(file, encoding="latin1").load(), digest
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}). Set data.path to the pickle; a relative path starts "
            f"at the folder where the command runs ({Path.cwd()})."
        ) from error
    except RefusedError as error:
        raise UserError(
            f"{path}: {error}. Nothing was executed. Only containers, text, numbers and numpy arrays are read. If you "
            "trust the file, load it where it was made, turn everything into numpy arrays and lists, and save it again."
        ) from error
    except Exception as error:  # a broken pickle can raise anything, MemoryError included
        raise UserError(
            f"{path}: not a whole pickle of plain data ({type(error).__name__}: {str(error)[:200]}). "
            f"It has {path.stat().st_size} bytes and starts with {_start(path)!r}. Download or copy it again."
        ) from error


def scan(file: IO[bytes]) -> None:
    """Read the instructions without obeying them: every length fits the file, none reaches outside it.

    The unpickler allocates what a length or a memo index says before it looks at the data.
    """
    for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        if instruction.name in NEVER:
            raise RefusedError(f"the pickle refers to something outside it ({instruction.name} {argument!r:.100})")
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT") and not (argument or 0) <= count:
            raise pickle.UnpicklingError(f"memo index {argument} after {count} instructions")


class PlainUnpickler(pickle.Unpickler):
    """Knows the names in `ADMITTED` and no other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            asked = f"{module}.{name}"
            raise RefusedError(f"the pickle asks for {asked!r:.200}, which is not data")
        return ADMITTED[module, name]


class StandIn:
    """What an admitted name stands for: it can be called, and a pickle cannot change it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("the pickle tries to change a constructor")


class ElementType:
    """Stands for `numpy.dtype`: one of the types that `PLAIN` describes."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not PLAIN.fullmatch(code):
            raise RefusedError(f"the pickle has an array of type {code!r:.100}, which is neither numbers nor text")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Only the byte order: a state could also redefine what the bytes of an array mean."""
        _, order, *structure = state[:5]
        if structure != [None, None, None] or order not in ("<", ">", "=", "|"):
            raise RefusedError("the pickle has a structured array")
        self.dtype = self.dtype.newbyteorder(order)


class PlainArray(np.ndarray[Any, np.dtype[Any]]):
    """An array that checks its state before numpy believes it; otherwise an ordinary array."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if self.size or any(size < 0 for size in shape):
            raise pickle.UnpicklingError(f"an array of shape {shape}")
        numbers = kind.dtype.kind != "O"
        data = _bytes(content) if numbers else content
        width = kind.dtype.itemsize if numbers else 1
        if (not numbers and not isinstance(data, list)) or width * math.prod(shape) != len(data) or not width:
            raise pickle.UnpicklingError(f"an array of shape {shape} with content for another shape")
        if numbers:
            _check_text(data, kind.dtype)
        super().__setstate__((1, tuple(shape), kind.dtype, bool(fortran), data))  # type: ignore[arg-type]


NDARRAY = object()
"""Stands for the class `numpy.ndarray`, which pickles name but never call."""


def reconstruct(subtype: Any, *_: Any) -> PlainArray:
    """An empty array that waits for its state."""
    if subtype is not NDARRAY:
        raise RefusedError("the pickle has an array of a class of its own")
    return PlainArray((0,), np.uint8)


def from_buffer(content: Any, kind: ElementType, shape: tuple[int, ...], order: str, axes: Any = None) -> Any:
    """An array as protocol 5 stores it."""
    if kind.dtype.kind == "O":
        raise RefusedError("the pickle has objects made of raw bytes")
    data = _bytes(content)
    _check_text(data, kind.dtype)
    array = np.frombuffer(data, dtype=kind.dtype)
    return array.reshape(shape, order="C").transpose(axes) if order == "K" else array.reshape(shape, order=order)  # type: ignore[call-overload]


def scalar(kind: ElementType, content: Any = b"") -> Any:
    """A single number or text of numpy."""
    if kind.dtype.kind == "O":
        raise RefusedError("the pickle has objects made of raw bytes")
    data = _bytes(content)
    if len(data) != kind.dtype.itemsize:
        raise pickle.UnpicklingError(f"{len(data)} bytes for one {kind.dtype}")
    _check_text(data, kind.dtype)
    return np.frombuffer(data, dtype=kind.dtype)[0] if data else kind.dtype.type()


def encode(text: str, encoding: str = "latin1") -> bytes:
    """How protocols 0 to 2 store bytes."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise RefusedError(f"the pickle encodes text as {encoding!r:.100}")
    return text.encode("latin1")


def _bytes(content: Any) -> bytes:
    if isinstance(content, str):  # Python 2
        return content.encode("latin1")
    if not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError(f"bytes expected, found {type(content).__name__}")
    return bytes(content)


def _check_text(data: Any, dtype: np.dtype[Any]) -> None:
    """Refuse text of numbers that are no characters: numpy takes them, and Python stops on their first use."""
    if dtype.kind != "U":
        return
    characters = np.frombuffer(data, dtype=np.dtype("u4").newbyteorder(dtype.byteorder))
    if (characters > sys.maxunicode).any():
        raise pickle.UnpicklingError("text that is none in Unicode")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(24)


NUMPY: dict[str, tuple[str, Callable[..., Any]]] = {
    "_reconstruct": ("multiarray", reconstruct),
    "scalar": ("multiarray", scalar),
    "_frombuffer": ("numeric", from_buffer),
}
BUILTINS: dict[str, Callable[..., Any]] = {
    "bytes": lambda: b"",
    "set": lambda items=(): set(items),
    "frozenset": lambda items=(): frozenset(items),
    "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
}
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): StandIn(ElementType),
    ("_codecs", "encode"): StandIn(encode),
    ("collections", "OrderedDict"): StandIn(lambda items=(): dict(items)),
    **{(f"numpy.{core}.{m}", name): StandIn(make) for core in ("core", "_core") for name, (m, make) in NUMPY.items()},
    **{(module, name): StandIn(make) for module in ("builtins", "__builtin__") for name, make in BUILTINS.items()},
}
"""Names that a pickle may use, of numpy 1 and 2, Python 2 and 3, and what they stand for here."""
