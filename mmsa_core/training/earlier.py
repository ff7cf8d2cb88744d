"""Earlier runs that a recipe names, as teachers or as where a network starts."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from mmsa_core.errors import UserError
from mmsa_core.run_folder import checkpoint


def folder(run: Path, seed: int, where: str) -> Path:
    """A run's folder for a seed, or its only one; `where` is the part of the recipe that names the run."""
    folders = checkpoint.seed_folders(run)
    same = [folder for folder in folders if folder.name == f"seed-{seed}"]
    if len(folders) > 1 and not same:
        has = ", ".join(f.name for f in folders)
        raise UserError(f"{where}: {run} holds {has}, but no seed-{seed}; name one of them")
    return (same or folders)[0]


def digests(folders: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of the weights in each folder."""
    return {str(f): sha256((f / "student.safetensors").read_bytes()).hexdigest() for f in folders}
