"""Mixed precision: 16 bits in the networks, single precision everywhere else, and nearly the same numbers."""

import math

import pytest
import torch

from mmsa_core import registry
from mmsa_core.corpora import batching
from mmsa_core.testing.samples import flat
from mmsa_core.training import precision
from mmsa_core.training.precision import Scale

KINDS = ["bfloat16", "float16"]
RELATIVE = {"bfloat16": 2e-2, "float16": 3e-3}
"""How far the losses of the first epoch may be from those in single precision."""


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_near_those_in_single_precision(kind, make):
    settings = {"epochs": 1, "batch_size": 8, "lr": 1e-3}
    _, whole = make.fitted(make.corrkd(train=settings))
    trainer, mixed = make.fitted(make.corrkd(train=settings | {"precision": kind}))
    names = [name for name in whole.steps[-1] if name.startswith("loss/")]
    assert len(names) == 5
    for name in names:
        assert mixed.series(name) == pytest.approx(whole.series(name), rel=RELATIVE[kind], abs=RELATIVE[kind])
        assert mixed.series(name) != whole.series(name)
    assert {tensor.dtype for tensor in trainer.network.parameters()} == {torch.float32}
    assert mixed.epochs[-1]["valid/loss"] == pytest.approx(whole.epochs[-1]["valid/loss"], rel=RELATIVE[kind])


def build(make, fusion, encoder):
    """A network in training mode, and a batch for it."""
    small = {"crossmodal": {"layers": 1, "heads": 5}, "dmd.decoupled": {"layers": 1, "heads": 5}}
    part = {"name": encoder} | ({"layers": 1, "heads": 2} if encoder == "transformer" else {})
    model = {"dim": 20, "encoders": dict.fromkeys(("text", "audio", "vision"), part)}
    recipe = make.tiny(model=model | {"fusion": {"name": fusion} | small.get(fusion, {})})
    stages = make.stages(recipe)
    network = stages.network(recipe.model, "student", stages.train)
    lengths = batching.lengths_of(stages.train, network)
    return network, next(batching.batches(stages.train, recipe.task, 8, lengths=lengths))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(registry.fusions))
def test_every_fusion_gives_single_precision(name, kind, make):
    network, batch = build(make, name, "projection" if name == "dmd.decoupled" else "transformer")
    network.eval()
    mixed, whole = precision.run(network, batch, kind), network(batch)
    assert {x.dtype for x in flat(mixed)} <= {torch.float32, torch.bool, torch.int64}
    torch.testing.assert_close(mixed.logits, whole.logits, rtol=5e-2, atol=5e-2)
    assert not torch.equal(mixed.logits, whole.logits)
    found = torch.autograd.grad(mixed.logits.sum(), list(network.parameters()), allow_unused=True)
    assert all(g.isfinite().all() for g in found if g is not None)


@pytest.mark.parametrize("name", ["transformer", "pooled", "projection"])  # torch has no recurrence in 16 bits on a CPU
def test_every_encoder_computes_in_16_bits(name, make):
    network, batch = build(make, "concat", name)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = network.encode("text", batch.features["text"], batch.observed["text"])
    assert torch.bfloat16 in {encoded.sequence.dtype, encoded.pooled.dtype}


def test_a_scale_falls_when_gradients_overflow_and_rises_after_many_that_do_not():
    scale = Scale("float16")
    assert scale.value == 2.0**16
    assert scale.overflowed()
    assert scale.value == 2.0**15
    for _ in range(Scale.GROWS):
        scale.held()
    assert (scale.value, scale.good) == (2.0**16, 0)
    again = Scale("float16")
    again.restore(scale.state())
    assert again.state() == scale.state()
    assert not Scale("bfloat16").overflowed()


def test_an_update_that_overflows_is_left_out_and_training_goes_on(make, monkeypatch):
    monkeypatch.setattr(Scale, "FIRST", 2.0**30)  # the first gradients overflow in half precision
    trainer, heard = make.fitted(make.tiny(train={"epochs": 8, "batch_size": 8, "lr": 1e-3, "precision": "float16"}))
    skipped = [row for row in heard.steps if row.get("skipped")]
    assert len(skipped) >= 2
    assert trainer.progress.skipped == len(skipped)
    assert not heard.steps[-1].get("skipped")
    assert not [message for message in heard.warnings if "not finite" in message]
    assert math.isfinite(heard.epochs[-1]["valid/loss"])


def test_a_loss_that_is_no_number_at_any_scale_stops_the_training(make, monkeypatch):
    monkeypatch.setattr(Scale, "FIRST", 4.0)
    recipe = make.tiny(train={"epochs": 8, "batch_size": 8, "lr": 1e-3, "precision": "float16"})
    stages = make.stages(recipe, make.Heard())
    trainer, _ = stages.student()
    with torch.no_grad():
        next(trainer.network.parameters()).fill_(math.nan)
    with pytest.raises(Exception, match="became nan at step 3"):
        trainer.fit(stages.train, stages.valid)
