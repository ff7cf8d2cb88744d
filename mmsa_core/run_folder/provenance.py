"""Where numbers come from: versions, data, source, device, command."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mmsa_core import registry
from mmsa_core.corpora.data import Data
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import by_hand

PACKAGE = Path(__file__).parents[1]
"""The folder of core's source."""


def provenance(recipe: Recipe, seed: int, data: Data, device: torch.device, command: str) -> dict[str, Any]:
    """What a reader needs to repeat a run, or to see why it differs."""
    commit, dirty = source()
    changes = changes_digest() if dirty else None
    return {
        "command": command,
        "seed": seed,
        "recipe_sha256": sha256(recipe_file.dump(recipe).encode()).hexdigest(),
        "data_sha256": data.digest,
        "data_converted_from_sha256": data.origin,
        "splits": {name: len(split) for name, split in data.splits.items()},
        "versions": versions(),
        **({by_hand.KEY: own} if (own := by_hand.used(recipe)) else {}),
        "commit": commit,
        "uncommitted_changes": dirty,
        "uncommitted_sha256": changes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Python, the libraries that numbers depend on, and every distribution that brings components."""
    owners = {claim.owner for claims in registry.metadata().claims.values() for claim in claims}
    found = dict(owner.split(" ", 1) for owner in owners)
    for name in ("torch", "numpy", "scikit-learn", "pydantic", "safetensors"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {"python": sys.version.split()[0], **dict(sorted(found.items()))}


def device_kind(about: Mapping[str, Any]) -> str:
    """The device that provenance is of, as `--device` has it; auto where it says none."""
    named = about.get("device")
    return "auto" if named is None else "cpu" if named == "cpu" else "cuda"


def source() -> tuple[str | None, bool | None]:
    """The git commit that the code was run from, and whether files differ from it; None outside git."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", ".")
    return commit, None if changes is None else bool(changes)


def changes_digest() -> str | None:
    """The SHA-256 of how the source differs from its commit, files that git does not know included."""
    known, added = _git("diff", "HEAD", "--binary", "--", "."), _git("ls-files", "--others", "--exclude-standard", ".")
    if known is None or added is None:
        return None
    digest = sha256(known.encode())
    for name in added.splitlines():
        digest.update(name.encode() + b"\0" + (PACKAGE / name).read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", *arguments]
        found = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
