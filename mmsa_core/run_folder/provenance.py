"""Where numbers come from: versions, data, source, device, command."""

import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from mmsa_core import registry
from mmsa_core.corpora.data import Data
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import by_hand, source


def provenance(
    recipe: Recipe, seed: int, data: Data, device: torch.device, command: str, origin: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a reader needs to repeat a run, or to see why it differs; `origin` says where the recipe was found."""
    commit, dirty = source.commit()
    changes = source.changes() if dirty else None
    return {
        "command": command,
        "seed": seed,
        "recipe": origin and dict(origin),
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
