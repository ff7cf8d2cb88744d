"""Batches in the corners of what there can be, through every component that is registered."""

import importlib.util
from pathlib import Path

import pytest
import torch

from mmsa_core import registry, testing
from mmsa_core.corpora.batching import batches
from mmsa_core.corpora.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.testing.samples import encoded, leaves
from mmsa_core.types import map_tensors

spec = importlib.util.spec_from_file_location("corners", Path(__file__).with_name("corners.py"))
corners = importlib.util.module_from_spec(spec)
spec.loader.exec_module(corners)
CORNERS, DTYPES, TASK, build, room, whole = (
    getattr(corners, name) for name in ("CORNERS", "DTYPES", "TASK", "build", "room", "whole")
)


def dtype(corner):
    return DTYPES.get(corner, torch.float32)


def finite(corner, x):
    """What is huge may overflow, in its own sample alone."""
    return bool(torch.isfinite(x[1:] if corner == "huge" else x).all())


def test_no_batch_of_a_split_is_empty():
    batch = whole()
    split = Split.padded(tuple("abcdef"), batch.features, batch.observed, {"score": batch.target})
    assert [len(each) for each in batches(split, TASK, 4)] == [4, 2]
    assert not list(batches(split.rows(torch.zeros(6, dtype=torch.bool)), TASK, 4))


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.encoders))
def test_encoders(name, corner):
    usual = whole(name)
    if name == "bert" and corner in ("large", "huge"):
        pytest.skip("a large number is no token; tests/encoders/test_bert.py has what is said of it")
    batch = CORNERS[corner](usual)
    for m, x in batch.features.items():
        encoder = build(registry.encoders, name, room(usual), m).to(dtype(corner)).eval()
        found = encoder(x, batch.observed[m])
        assert found.pooled.shape == (len(batch), 40)
        assert found.sequence.shape == (len(batch), encoder.length(x.shape[1]), 40)
        assert found.pooled.dtype == found.sequence.dtype == dtype(corner)
        assert finite(corner, found.pooled)
        assert finite(corner, found.sequence)
        assert not found.pooled[~batch.observed[m].any(dim=1)].any()
        if corner == "huge":  # the others do not notice
            assert torch.allclose(found.pooled[1:], encoder(usual.features[m], usual.observed[m]).pooled[1:], atol=1e-5)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.fusions))
@pytest.mark.parametrize("few", [False, True])
def test_fusions(name, corner, few, monkeypatch):
    monkeypatch.setattr("mmsa_core.attention.form.FEW", few)
    usual, made = whole(), room(whole())
    batch = CORNERS[corner](usual)
    fusion = build(registry.fusions, name, made).to(dtype(corner)).eval()
    parts = map_tensors(corners.typed(dtype(corner)), encoded(map_tensors(corners.typed(torch.float32), batch), made))
    found = fusion(parts)
    assert isinstance(found, fusion.gives)
    assert found.logits.shape == (len(batch), TASK.width)
    assert len(found.joint) == len(batch)
    assert found.logits.dtype == dtype(corner)
    assert finite(corner, found.logits)
    if corner == "huge":
        assert torch.allclose(found.logits[1:], fusion(encoded(usual, made)).logits[1:], atol=1e-5)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.distillers))
def test_distillers(name, corner):
    usual, made = whole(), room(whole())
    term = build(registry.distillers, name, made)
    kind = term.reads
    term(corners.given(kind, usual, made), corners.given(kind, usual, made, 1), usual)  # sizes of lazy parts
    batch = CORNERS[corner](usual)
    (student, taken), (teacher, _) = (leaves(corners.given(kind, batch, made, seed)) for seed in (0, 1))
    term = term.to(dtype(corner))
    loss = term(student, teacher, batch)
    assert loss.shape == ()
    assert loss.requires_grad
    if corner != "huge":  # an infinite loss is one: `train.on_nonfinite` decides
        own = [p for p in term.parameters() if p.requires_grad]
        gradients = [g for g in torch.autograd.grad(loss, taken + own, allow_unused=True) if g is not None]
        assert gradients
        assert all(map(bool, (torch.isfinite(x).all() for x in (loss, *gradients))))
    if corner == "no sample":
        assert loss == 0
        assert all(value.isfinite() for value in term.observations.values())


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", list(registry.maskers))
def test_maskers(name, corner, tmp_path):
    usual = whole()
    more = {"path": corners.masks(usual, tmp_path / "masks.safetensors")} if name == "replay" else {}
    masker = build(registry.maskers, name, **more)
    masker.prepare(Split.padded(tuple("abcdef"), usual.features, usual.observed))
    batch = CORNERS[corner](usual)
    found = masker(batch, Draw("corner", 0))
    for m, seen in batch.observed.items():
        assert found.observed[m].shape == seen.shape
        assert found.features[m].dtype == dtype(corner)
        assert finite(corner, found.features[m])
        assert masker.changes_features or not (found.observed[m] & ~seen).any()


@pytest.mark.parametrize("task", testing.TASKS, ids=lambda task: f"{task.kind} {task.class_count}")
def test_the_loss_of_no_sample_is_zero(task):
    batch = CORNERS["no sample"](testing.batch(2, 6, task))
    logits = torch.zeros(0, task.width, requires_grad=True)
    loss = task.objective(logits, batch.target)
    loss.backward()
    assert loss == 0
    assert task.each(logits, batch.target).shape == (0,)
    assert task.categories(batch.target).shape == (0, task.groups)
    assert all(not column for column in task.prediction(logits).values())
