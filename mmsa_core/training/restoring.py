"""Whether a saved state is one that this training could have written: who can write a file can write its digest."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mmsa_core.training.progress import Progress


def same_form(found: Any, own: Any, where: str) -> None:
    """Refuse what is not built as one's own: the same keys, kinds of values and shapes, no count below zero.

    Raises:
        ValueError: with the place of the first difference.
    """
    if isinstance(own, dict):
        if not isinstance(found, dict) or set(found) != set(own):
            raise ValueError(f"{where} has other entries")
        for key, value in own.items():
            same_form(found[key], value, f"{where}.{key}")
    elif isinstance(own, list | tuple):
        if type(found) is not type(own) or len(found) != len(own):
            raise ValueError(f"{where} has another length")
        for at, value in enumerate(own):
            same_form(found[at], value, f"{where}.{at}")
    elif isinstance(own, Tensor):
        if not isinstance(found, Tensor) or found.shape != own.shape or found.dtype != own.dtype:
            raise ValueError(f"{where} is no tensor of shape {tuple(own.shape)}")
    elif isinstance(own, float):
        if type(found) not in (float, int):
            raise ValueError(f"{where} is no number")
    elif type(found) is not type(own) or (isinstance(own, int) and found < 0):
        raise ValueError(f"{where} is {found!r:.40}")


def progress(saved: Mapping[str, Any], network: nn.Module, terms: nn.Module) -> Progress:
    """How far a stage had come; its best weights must be of this network and these terms."""
    found = Progress(**saved)
    for each in fields(found):
        if isinstance(each.default, int | float):
            same_form(getattr(found, each.name), each.default, f"progress.{each.name}")
    if found.best is not None:
        same_form(found.best, (dict(network.state_dict()), dict(terms.state_dict())), "progress.best")
    same_form(found.complaints, dict.fromkeys(found.complaints, 0), "progress.complaints")
    for row, names, values in found.pending:
        if not isinstance(row, dict) or row.keys() & set(names):
            raise ValueError("progress.pending is no list of rows")
        same_form(values, values.new_zeros(len(names)), "progress.pending")
    return found


def optimizer(saved: Mapping[str, Any], own: Optimizer) -> None:
    """Go on with an optimiser's state, which must be of the same parameters and options."""
    same_form(saved["param_groups"], own.state_dict()["param_groups"], "optimizer")
    shapes = [parameter.shape for group in own.param_groups for parameter in group["params"]]
    for at, moments in saved["state"].items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape not in (shapes[at], torch.Size()):
                raise ValueError(f"optimizer.{at}.{name} is of shape {tuple(value.shape)}")
            if value is not None and not (isinstance(value, Tensor) and value.is_floating_point()):
                raise ValueError(f"optimizer.{at}.{name} is {value!r:.40}")
    own.load_state_dict(dict(saved))
