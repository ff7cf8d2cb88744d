"""Features of all samples in one safetensors file whose keys are the samples' ids."""

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mmsa_core.datasets.parts import Array
from mmsa_core.errors import UserError


def read(path: Path, ids: Sequence[str], digest: Any) -> list[Array | None]:
    """The array [frames, channels] of each id, None where the file has no such key."""
    with path.open("rb") as file:
        digest.update(file_digest(file, "sha256").digest())
    try:
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            if not keys & set(ids):
                found = ", ".join(sorted(keys)[:5])
                raise UserError(
                    f"{path}: none of its {len(keys)} keys is an id of the table; keys begin with {found or 'none'}"
                )
            return [_array(file, path, name) if name in keys else None for name in ids]
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error!s:.200}). Write it again.") from error


def _array(file: Any, path: Path, name: str) -> Array:
    tensor = file.get_tensor(name)
    if tensor.ndim != 2 or not tensor.shape[1] or tensor.is_complex():
        raise UserError(
            f"{path}, key '{name}': {tensor.dtype} of shape {tuple(tensor.shape)}; expected numbers of shape "
            f"[frames, channels]"
        )
    found: Array = tensor.float().numpy()
    return found
