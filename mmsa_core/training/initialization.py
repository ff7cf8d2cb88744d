"""A fresh network takes the weights of an earlier run, tensor by tensor, where name and shape match."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mmsa_core.errors import UserError
from mmsa_core.run_folder import checkpoint

FITTED = "standardize."
"""Begins the names of what is fitted on the data at hand; no run's statistics are taken."""
LISTED = 8
"""Entries of a list that are written out."""


def initialise(network: nn.Module, run: Path) -> str:
    """Take what matches of a run folder's student; returns a sentence on what was taken and what was not.

    Raises:
        UserError: if nothing matches.
    """
    there, _ = checkpoint.read_tensors(run / "student.safetensors")
    given, own = _learned(there), _learned(network.state_dict())
    taken = [name for name, tensor in own.items() if name in given and given[name].shape == tensor.shape]
    if not taken:
        raise UserError(
            f"model.init: none of the {len(given)} tensors of {run} has the name and shape of one of this network's "
            f"{len(own)}; name a run of a model with the same encoders or fusion, and the same dim"
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    parts = [f"{len(taken)} of {len(own)} tensors are those of {run}"]
    reshaped = [f"{n} {_shape(own[n])} (there {_shape(given[n])})" for n in own if n in given and n not in {*taken}]
    if fresh := reshaped + grouped(own.keys() - given.keys(), own):
        parts.append(f"fresh: {listed(fresh)}")
    if unused := grouped(given.keys() - own.keys(), given):
        parts.append(f"not used of it: {listed(unused)}")
    return "; ".join(parts)


def grouped(names: Collection[str], among: Collection[str]) -> list[str]:
    """Dotted names; where all that begin alike are listed, their common beginning and their number stand for them."""
    of_all, of_names = _beginnings(among), _beginnings(names)
    found = Counter(
        next(start for start in _starts(name) if of_names[start] == of_all[start]) for name in among if name in names
    )
    return [start if start in names else f"{start}.* ({number})" for start, number in found.items()]


def listed(entries: list[str]) -> str:
    """The first entries, and how many more there are."""
    more = len(entries) - LISTED
    return ", ".join(entries[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _learned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(FITTED)}


def _beginnings(names: Iterable[str]) -> Counter[str]:
    return Counter(start for name in names for start in _starts(name))


def _starts(name: str) -> list[str]:
    """`a`, `a.b`, `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _shape(tensor: Tensor) -> str:
    return str([*tensor.shape])
