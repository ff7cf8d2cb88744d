"""Reads the tensors of a checkpoint that torch wrote for other code; nothing in the file is executed."""

import re
import warnings
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmsa_core.errors import UserError

REMEDY = "Where it was made, save the tensors alone: torch.save(model.state_dict(), FILE)"
SHOWN = 5
"""Entries of another kind that an error names."""


def read(path: Path) -> tuple[dict[str, Tensor], str]:
    """Names and tensors of a state dict on the CPU, and the SHA-256 of the file; anything else is a `UserError`."""
    try:
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch finds odd is said below
            found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a broken file can raise anything
        raise UserError(f"{path}: {_refusal(error)}. Nothing was executed. {REMEDY}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a dict of names and tensors, found {_kind(found)}. {REMEDY}")
    others = [f"{name!r:.60} ({_kind(value)})" for name, value in found.items() if not _fits(name, value)]
    if others or not found:
        shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
        raise UserError(f"{path}: expected a dict of names and tensors, found {shown or 'an empty one'}. {REMEDY}")
    return {name: tensor.detach() for name, tensor in found.items()}, digest


def _fits(name: Any, value: Any) -> bool:
    return isinstance(name, str) and _kind(value) == "tensor"


def _kind(value: Any) -> str:
    """What stands in a file, in words."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    plain = value.layout is torch.strided and not value.is_quantized and not value.is_meta
    return "tensor" if plain else "tensor without plain numbers"


def _refusal(error: Exception) -> str:
    """What torch says, without its advice to execute the file."""
    message = str(error).strip()
    if asked := re.search(r"GLOBAL (\S+)", message):
        return f"the file asks for {asked[1]!r:.200}, which is no tensor"
    first = message.partition("\n")[0]
    reason = "more than tensors" if "weights_only" in message else f"{type(error).__name__}: {first:.200}"
    return f"not a whole checkpoint of tensors ({reason})"
