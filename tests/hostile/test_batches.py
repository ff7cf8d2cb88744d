"""Batches in the corners of what there can be, through every component that is registered."""

from dataclasses import replace

import pytest
import torch

from mmsa_core import registry, testing
from mmsa_core.corpora.batching import batches
from mmsa_core.corpora.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.tasks import Bins
from mmsa_core.testing.samples import context, encoded, outputs, rows
from mmsa_core.types import Outputs

TASK = Bins(classes=7)
MODALITIES = 3
FIELDS = {
    "frame_dropout": {"rate": [0.2, 0.8]},
    "modality_dropout": {"rate": 0.5},
    "block": {"rate": 0.5},
    "pattern": {"hide": ["audio"]},
    "cells": {"rate": 0.4},
    "available": {"rate": 0.4},
    "burst": {"rate": 0.4, "length": 2},
    "late": {"frames": 2},
    "noise": {"deviations": 0.5},
    "dmd.graph": {"nodes": "homogeneous"},
}
ELSEWHERE = {"bert": "reads token ids", "replay": "reads a file"}
"""Components whose own tests have such batches."""


def whole():
    return testing.batch(MODALITIES, 6, TASK)


def first_frames(batch, count):
    features = {m: x[:, :count] for m, x in batch.features.items()}
    return replace(batch, features=features, observed={m: o[:, :count] for m, o in batch.observed.items()})


def strided(x):
    """The same values, with other values between them in memory."""
    return torch.stack([x, torch.zeros_like(x)], dim=-1)[..., 0]


CORNERS = {
    "one sample": lambda batch: rows(batch, torch.arange(1)),
    "one frame": lambda batch: first_frames(batch, 1),
    "all hidden": lambda batch: batch.hide({m: torch.ones_like(o) for m, o in batch.observed.items()}),
    "huge values": lambda batch: replace(batch, features={m: x * 1e18 for m, x in batch.features.items()}),
    "of float16": lambda batch: replace(batch, features={m: x.half().float() for m, x in batch.features.items()}),
    "not contiguous": lambda batch: replace(batch, features={m: strided(x) for m, x in batch.features.items()}),
}


def build(table, name, made, *more):
    if name in ELSEWHERE:
        pytest.skip(ELSEWHERE[name])
    component = table.get(name)
    config = table.config({"name": name, **FIELDS.get(name, {})})
    torch.manual_seed(0)
    return component(config, made, *more) if made is not None else component(config)


def room():
    return context(whole(), TASK, dim=40)


def test_no_batch_is_empty():
    """Means and reshaped tensors have no value without a sample: components need not expect one."""
    batch = whole()
    split = Split.padded(tuple("abcdef"), batch.features, batch.observed, {"score": batch.target})
    assert [len(each) for each in batches(split, TASK, 4)] == [4, 2]
    assert not list(batches(split.rows(torch.zeros(6, dtype=torch.bool)), TASK, 4))


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.encoders))
def test_encoders(name, corner):
    made = room()
    batch = CORNERS[corner](whole())
    for m in batch.features:
        encoder = build(registry.encoders, name, made, m).eval()
        found = encoder(batch.features[m], batch.observed[m])
        assert found.pooled.shape == (len(batch), 40)
        assert torch.isfinite(found.pooled).all()
        assert not found.pooled[~batch.observed[m].any(dim=1)].any()


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.fusions))
def test_fusions(name, corner):
    made = room()
    batch = CORNERS[corner](whole())
    if corner == "huge values":
        batch = replace(batch, features={m: x / 1e15 for m, x in batch.features.items()})
    found = build(registry.fusions, name, made).eval()(encoded(batch, made))
    assert found.logits.shape == (len(batch), TASK.width)
    assert torch.isfinite(found.logits).all()


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.distillers))
def test_distillers(name, corner):
    component = registry.distillers.get(name)
    if component.reads is not Outputs:
        pytest.skip(f"reads {component.reads.__name__}, which only its own package's tests can build")
    made, usual = room(), whole()
    term = build(registry.distillers, name, made)
    term(outputs(usual, made), outputs(usual, made, 1), usual)  # sizes of lazy parts
    batch = CORNERS[corner](usual)
    if corner == "huge values":
        batch = replace(batch, features={m: x / 1e15 for m, x in batch.features.items()})
    loss = term(outputs(batch, made), outputs(batch, made, 1), batch)
    assert loss.shape == ()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.maskers))
def test_maskers(name, corner):
    masker = build(registry.maskers, name, None)
    usual = whole()
    masker.prepare(Split.padded(tuple("abcdef"), usual.features, usual.observed))
    batch = CORNERS[corner](usual)
    found = masker(batch, Draw("corner", 0))
    for m, seen in batch.observed.items():
        assert found.observed[m].shape == seen.shape
        assert masker.changes_features or not (found.observed[m] & ~seen).any()
