"""Manifests: which frames of which samples stay observed, as a file.

A safetensors file with, for each modality M, `observed.M`, a bool tensor [samples, frames], and
`key`, int64 [samples], what masks know a sample by (see `missing.keys`). Its metadata have, as JSON under
`mmsa`: `format`, `ids` (of the samples, in the order of the rows) and `about`, where the masks come from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmsa_core import missing
from mmsa_core.errors import UserError
from mmsa_core.run_folder.checkpoint import write_bytes
from mmsa_core.types import Modality

FORMAT = "mmsa-masks-1"
PREFIX = "observed."


@dataclass(frozen=True)
class Manifest:
    """Masks of samples, and where they come from."""

    ids: tuple[str, ...]
    key: Int64[Tensor, " samples"]
    observed: Mapping[Modality, Bool[Tensor, "samples _frames"]]
    about: Mapping[str, Any] = field(default_factory=dict)


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest in one piece."""
    about = {"format": FORMAT, "ids": manifest.ids, "about": manifest.about}
    tensors = {f"{PREFIX}{m}": kept.cpu().contiguous() for m, kept in manifest.observed.items()}
    write_bytes(path, save({"key": manifest.key.cpu(), **tensors}, metadata={"mmsa": json.dumps(about)}))


def read(path: Path) -> Manifest:
    """The manifest in a file; without `key` in it the ids give the keys.

    Raises:
        UserError: naming the file and what does not fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("mmsa", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable manifest of masks: {error}. `mmsa masks` writes them") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(f"{path}: not a manifest of masks (expected format {FORMAT}); `mmsa masks` writes them")
    ids = about.get("ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(name, str) for name in ids):
        raise UserError(f"{path}: expected a list of sample ids under 'ids' in the metadata")
    observed = {name.removeprefix(PREFIX): t for name, t in tensors.items() if name.startswith(PREFIX)}
    key = tensors.get("key", missing.keys(ids))
    _check(path, len(ids), key, observed)
    return Manifest(tuple(ids), key, observed, about.get("about") or {})


def _check(path: Path, samples: int, key: Tensor, observed: Mapping[Modality, Tensor]) -> None:
    if not observed:
        raise UserError(f"{path}: holds no masks; expected a tensor '{PREFIX}MODALITY' for each modality")
    if key.shape != (samples,) or key.dtype != torch.int64 or len(set(key.tolist())) != samples:
        raise UserError(f"{path}: 'key' is {key.dtype} {list(key.shape)}; expected {samples} different int64 numbers")
    for m, kept in observed.items():
        if kept.dim() != 2 or len(kept) != samples or kept.dtype != torch.bool:
            raise UserError(
                f"{path}: '{PREFIX}{m}' is {kept.dtype} {list(kept.shape)}; expected bool [{samples}, frames], a row "
                "for each of its ids"
            )
