"""What a run folder may hold, and whether its files are those that were written.

A run folder of somebody else is read and answers are written into it; a link in it could lead both elsewhere. The
digests in `provenance.json` are no signature: whoever changes a file can change them too. They show what was
changed by accident, or by hand and forgotten.
"""

from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from mmsa_core.errors import UserError

FILES = (
    "recipe.yaml",
    "student.safetensors",
    "teacher.safetensors",
    "distillers.safetensors",
    "results.json",
    "predictions.csv",
)
"""What is written once, when a seed is trained."""
INNER = ("answers", "last", "embed")


def check(folder: Path) -> None:
    """Refuse links that lead out of a run folder, and what is neither file nor folder."""
    for path in (each for place in (folder, *(folder / name for name in INNER)) for each in _entries(place)):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{path}: is a link that leads out of the run folder, to {path.resolve()}, and is not followed; put "
                "the file or folder itself there"
            )
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UserError(f"{path}: is neither a file nor a folder; a run folder holds nothing else")


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of the files of a seed's run."""
    found = {}
    for path in (folder / name for name in FILES):
        if path.is_file():
            with path.open("rb") as file:
                found[path.name] = file_digest(file, "sha256").hexdigest()
    return found


def of(text: str) -> str:
    """The SHA-256 of a text file that is written next."""
    return sha256(text.encode()).hexdigest()


def altered(folder: Path, provenance: Mapping[str, Any]) -> str | None:
    """A sentence on the files that are not those that were written; None where they are, or nothing is known."""
    known = provenance.get("files")
    if not isinstance(known, dict):
        return None
    there = digests(folder)
    changed = [name for name, digest in known.items() if there.get(name, digest) != digest]
    gone = [str(name) for name in known if name not in there]
    parts = [f"{', '.join(changed)} was changed after the run was written (another SHA-256)"] if changed else []
    parts += [f"{', '.join(gone)} is gone"] if gone else []
    return f"{folder}: {'; '.join(parts)}; its numbers may be others" if parts else None


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
