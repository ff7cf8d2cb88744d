"""Writes a corpus in the formats that the readers of `mmsa_core.datasets` read."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.errors import UserError
from mmsa_core.writers import cmu_sdk, folder, mmsa_fet, mmsa_pickle, mult_pickle, stored

Writer = Callable[[Corpus, Path], tuple[str, ...]]
"""Writes a corpus to a new path, a file or a folder, and says what the format cannot hold."""

WRITERS: dict[str, Writer] = {
    "cmu-sdk": cmu_sdk.write,
    "folder": folder.write,
    "mmsa-fet": mmsa_fet.write,
    "mmsa-pickle": mmsa_pickle.write,
    "mult-pickle": mult_pickle.write,
    "safetensors": stored.write,
}
"""By the name of the reader."""


def write(corpus: Corpus, reader: str, out: Path, damage: Callable[[Path], None] | None = None) -> tuple[str, ...]:
    """Write a corpus to a new file or folder, in one piece or not at all; returns what is lost.

    `damage` is done to what was written before it gets its name.
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: exists, and nothing is overwritten; name a new file or folder")
    if not out.parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}; make it first")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as hidden:
        made = Path(hidden) / out.name
        lost = WRITERS[reader](corpus, made)
        if damage is not None:
            damage(made)
        _settle(made)
        os.rename(made, out)
    return lost


def _settle(path: Path) -> None:
    """Have the bytes on disk before the name."""
    for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if each.is_file():
            with each.open("rb+") as file:
                os.fsync(file.fileno())
