"""Batches in the corners of what there can be, and every registered component built for them."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from mmsa_core import registry, testing
from mmsa_core.masks import manifest
from mmsa_core.masks.manifest import Manifest
from mmsa_core.tasks import Bins
from mmsa_core.testing.samples import context, encoded, outputs, rows
from mmsa_core.types import Outputs, map_tensors

TASK = Bins(classes=7)
MODALITIES = 3


def first_frames(batch, count):
    features = {m: x[:, :count] for m, x in batch.features.items()}
    return replace(batch, features=features, observed={m: o[:, :count] for m, o in batch.observed.items()})


def strided(x):
    """The same values, with other values between them in memory."""
    return torch.stack([x, torch.zeros_like(x)], dim=-1)[..., 0]


def scaled(x, factor):
    """The first sample's features times a factor; those of a batch without one stay."""
    return torch.cat([x[:1] * factor, x[1:]])


def typed(dtype):
    return lambda x: x.to(dtype) if x.is_floating_point() else x


CORNERS = {
    "no sample": lambda batch: rows(batch, torch.arange(0)),
    "one sample": lambda batch: rows(batch, torch.arange(1)),
    "one frame": lambda batch: first_frames(batch, 1),
    "all hidden": lambda batch: batch.hide({m: torch.ones_like(o) for m, o in batch.observed.items()}),
    "large": lambda batch: replace(batch, features={m: 1e3 * x for m, x in batch.features.items()}),
    "huge": lambda batch: replace(batch, features={m: scaled(x, 1e30) for m, x in batch.features.items()}),
    "not contiguous": lambda batch: map_tensors(strided, batch),
    "float16": lambda batch: map_tensors(typed(torch.float16), batch),
    "float64": lambda batch: map_tensors(typed(torch.float64), batch),
}
DTYPES = {"float16": torch.float16, "float64": torch.float64}


def whole(name=""):
    """What each corner is made of; tokens for a component that reads some."""
    batch = testing.batch(MODALITIES, 6, TASK)
    return testing.tokens(batch, 30) if name == "bert" else batch


def room(batch):
    return context(batch, TASK, dim=40)


def build(table, name, *more, **fields):
    """A component as its first example says, with other fields."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        (example, *_) = table.get(name).examples(Path(folder))
    config = table.config({"name": name, **example.config, **fields})
    return table.get(name)(config, *more)


def masks(batch, path):
    """A manifest of the batch's samples, for the masker that replays one."""
    manifest.write(path, Manifest(tuple("abcdef"), batch.key, batch.observed))
    return path


def given(kind, batch, made, seed=0):
    """Outputs of a class that a term reads: of the first fusion that gives it, with parts that take gradients."""
    single = map_tensors(typed(torch.float32), batch)
    if kind is Outputs:
        found = outputs(single, made, seed)
    else:
        name = next(name for name in registry.fusions if issubclass(registry.fusions.get(name).gives, kind))
        found = build(registry.fusions, name, made)(encoded(single, made, seed))
    return map_tensors(typed(next(iter(batch.features.values())).dtype), found)
