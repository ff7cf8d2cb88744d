"""What a file or folder looks like, before a reader is chosen: by what it holds, never by its name alone.

A reader joins `KINDS` with one function that answers what it recognises, or None.
"""

import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmsa_core.datasets import stored
from mmsa_core.datasets.layout import ENDING
from mmsa_core.datasets.pickled import MMSA_KEYS
from mmsa_core.datasets.tokens import TEXT, TOKENS

MODALITY_KEYS = {"text", "audio", "vision"}
FET_KEYS = {"tool", "model"}
"""What MMSA-FET says of an extractor, under the key `config`."""
SPLIT_KEYS = {"train", "valid", "dev", "test"}
KNOWN_KEYS = MMSA_KEYS | MODALITY_KEYS | FET_KEYS | SPLIT_KEYS | {"labels", "id", "annotations", "config"}
NUMPY_1, NUMPY_2 = "numpy 1 (numpy.core)", "numpy 2 (numpy._core)"
ARRAY_TYPE = re.compile(r"[biuf][1248]|O8|U\d+")
NEITHER = (
    "both schemas are a dict of splits with the keys text, audio, vision, id and labels; --reader NAME --set "
    "data.modalities=... reads other names"
)
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Looks:
    """What a path looks like."""

    schema: str
    """In words."""
    reader: str | None
    """The data set component that reads it; None where none does."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What tells the version: by name, in words."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the reader's configuration that such a file needs."""
    hint: str = ""
    """What to do where no reader reads it."""


def recognise(path: Path) -> Looks | None:
    """What the first of `KINDS` that knows the path says of it."""
    return next((found for kind in KINDS if (found := kind(path)) is not None), None)


def stored_folder(path: Path) -> Looks | None:
    """Our own format, by the header of its files; by their names alone where a header cannot be read."""
    if path.is_file() and path.suffix == ENDING and stored.header(path) is not None:
        whole = f"the folder has its other splits: name {path.absolute().parent}"
        return Looks("one split of a folder that `mmsa data convert` wrote", None, hint=whole)
    files = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else []
    for file in files:
        if (about := stored.header(file)) is not None:
            source = about.source
            details = {
                "version": f"{about.version}, by mmsa {about.mmsa}",
                "made from": f"{source.file} by the reader {source.reader}",
            }
            details |= {"from SHA-256": source.sha256} if source.sha256 else {}
            return Looks("our own format", "safetensors", details)
    if any(file.stem in SPLIT_KEYS for file in files):
        return Looks("a folder of safetensors, named as our format names them but without its header", "safetensors")
    return None


def samples_folder(path: Path) -> Looks | None:
    """One's own corpus: a table of samples beside feature files."""
    tables = [name for name in ("samples.csv", "samples.parquet") if path.is_dir() and (path / name).is_file()]
    return Looks(f"a folder with a table of samples ({tables[0]})", "folder") if tables else None


def computational_sequences(path: Path) -> Looks | None:
    """The CMU SDK's computational sequences."""
    single = path.suffix == ".csd" and path.is_file()
    files = sorted(path.glob("*.csd")) if path.is_dir() else [path] if single else []
    if not files:
        return None
    if path.is_dir():
        return Looks(f"a folder of {len(files)} computational sequences (.csd)", "cmu-sdk")
    whole = "" if start(path, 8) == HDF5 else ", though its content is no HDF5"
    return Looks(f"a computational sequence of the CMU SDK{whole}", "cmu-sdk")


def plain_pickle(path: Path) -> Looks | None:
    """MMSA's and MulT's pickles, and those of neither schema."""
    if not path.is_file():
        return None
    try:
        protocol, words, types = opcodes(path)
    except Exception:  # damaged, or no pickle: genops raises anything
        damaged = start(path, 1) == b"\x80"
        return Looks("a pickle that is damaged or cut", "mmsa-pickle") if damaged else None
    details = {"protocol": str(protocol)}
    writers = [
        name
        for name, module in ((NUMPY_1, "numpy.core."), (NUMPY_2, "numpy._core."))
        if any(word.startswith(module) for word in words)
    ]
    if writers:
        details["written by"] = " and ".join(writers)
    if types:
        details["arrays"] = ", ".join(sorted(types))
    settings: dict[str, Any] = {"absent": "missing"}
    if "config" in words and words & FET_KEYS and words & (MMSA_KEYS | MODALITY_KEYS):
        what = "a data set" if words & SPLIT_KEYS else "a single clip"
        if TEXT not in words and TOKENS in words:
            settings["tokens"] = True
        if "annotations" in words:
            details["classes"] = "named by 'annotations'; data.classes gives their order"
        return Looks(f"what MMSA-FET writes for {what}", "mmsa-fet", details, settings)
    if words & MMSA_KEYS:
        if words & {"audio_lengths", "vision_lengths"}:
            details["lengths"] = "given for each sample, as in MMSA's unaligned files"
        elif words & {"audio", "vision"}:
            details["lengths"] = "not given, as in MMSA's aligned files"
        if TEXT not in words and TOKENS in words:
            settings["tokens"] = True
            details["text"] = f"token ids ('{TOKENS}'); there are no features under '{TEXT}'"
        return Looks("a pickle in MMSA's schema", "mmsa-pickle", details, settings)
    if "labels" in words:
        return Looks("a pickle in MulT's schema", "mult-pickle", details, settings)
    if words & MODALITY_KEYS:
        return Looks("a pickle in MMSA's schema, without labels", "mmsa-pickle", details, settings)
    return Looks("a pickle of neither MMSA's nor MulT's schema", None, details, hint=NEITHER)


def opcodes(path: Path) -> tuple[int, set[str], set[str]]:
    """The protocol of a pickle, the words in it that tell schema and writer, and its arrays' types; nothing is run."""
    protocol, words, types = 0, set(), set()
    with path.open("rb") as file:
        for instruction, argument, _ in pickletools.genops(file):
            if instruction.name == "PROTO" and isinstance(argument, int):
                protocol = argument
            elif isinstance(argument, str) and len(argument) < 64:
                if argument in KNOWN_KEYS or argument.startswith(("numpy.core.", "numpy._core.")):
                    words.add(argument)
                elif ARRAY_TYPE.fullmatch(argument):
                    types.add(argument)
    return protocol, words, types


def start(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


KINDS: list[Callable[[Path], Looks | None]] = [
    stored_folder,
    samples_folder,
    computational_sequences,
    plain_pickle,
]
"""Asked in this order."""
READERS = frozenset({"safetensors", "folder", "cmu-sdk", "mmsa-fet", "mmsa-pickle", "mult-pickle"})
"""The readers that it may name."""
