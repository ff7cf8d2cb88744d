"""Every registered component conforms, and the kit finds the defects that it is there to find."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mmsa_core import registry, testing
from mmsa_core.components import ComponentConfig, Distiller, DistillerConfig, Encoder, Fusion, Masker
from mmsa_core.encoders.pooled import PooledEncoder
from mmsa_core.fusions.concat import Concat
from mmsa_core.maskers.frame_dropout import FrameDropout
from mmsa_core.masks import manifest
from mmsa_core.masks.manifest import Manifest
from mmsa_core.missing import Draw
from mmsa_core.types import Encoded, Outputs

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
    "bert": {
        "architecture": {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 24, "vocabulary": 30},
        "special": {"pad": 0, "unk": 1, "cls": 2, "sep": 3},
        "then": {"name": "pooled"},
    },
}
"""What a component's Config needs beyond its defaults."""
OPTIONS = {
    "pattern": {"deterministic": True},
    "late": {"deterministic": True},
    "replay": {"deterministic": True},
    "corrkd.encoder": {"dim": 20},
    "bert": {"vocabulary": 30},
    "projection": {"padding": 3},
    "dmd.encoder": {"padding": 0},  # published: padding behind a sequence adds steps
    "crossmodal": {"padding": 0, "dim": 20, "counts": (2, 3, 4)},  # published: the last step is read, padding or not
    "dmd.decoupled": {"dim": 20, "counts": (2, 3, 4)},
}
"""What a check has to know about a component."""


def load(table, name, **more):
    component = table.get(name)
    return component, table.config({"name": name, **FIELDS.get(name, {}), **more}), OPTIONS.get(name, {})


@pytest.mark.parametrize("name", list(registry.encoders))
def test_encoder(name):
    component, config, options = load(registry.encoders, name)
    testing.check_encoder(component, config, **options)


@pytest.mark.parametrize("name", list(registry.fusions))
def test_fusion(name):
    component, config, options = load(registry.fusions, name)
    testing.check_fusion(component, config, **options)


@pytest.mark.parametrize("name", list(registry.distillers))
def test_distiller(name):
    component, config, options = load(registry.distillers, name)
    if component.reads is not Outputs:
        pytest.skip(f"reads {component.reads.__name__}, which only its own package's tests can build")
    testing.check_distiller(component, config, **options)


@pytest.fixture
def recorded(tmp_path):
    """A manifest of the kit's samples."""
    full = testing.padded(testing.batch(3, 64), 5)
    out = FrameDropout(FrameDropout.Config(rate=0.5))(full, Draw("recorded", 1))
    ids = tuple(f"sample {i}" for i in range(64))
    manifest.write(tmp_path / "masks.safetensors", Manifest(ids, full.key, out.observed))
    return tmp_path / "masks.safetensors"


@pytest.mark.parametrize("name", list(registry.maskers))
def test_masker(name, recorded):
    more = {"path": recorded} if name == "replay" else {}
    component, config, options = load(registry.maskers, name, **more)
    testing.check_masker(component(config), **options)


class Averaging(PooledEncoder):
    """Counts hidden frames in its mean."""

    def forward(self, features, observed):
        out = super().forward(features, observed)
        return Encoded(out.sequence, observed, out.sequence.mean(dim=1))


class Multiplying(PooledEncoder):
    """Hides by a product, so that NaN passes."""

    def forward(self, features, observed):
        x = features * observed.unsqueeze(2)
        pooled = self.perceptron(x.mean(dim=1)) * observed.any(dim=1, keepdim=True)
        return replace(super().forward(features, observed), pooled=pooled)


class Biased(PooledEncoder):
    """An absent sample is not zero."""

    def forward(self, features, observed):
        out = super().forward(features, observed)
        return replace(out, pooled=out.pooled + 1)


class BatchNormed(PooledEncoder):
    """Samples of a batch influence each other."""

    def forward(self, features, observed):
        out = super().forward(features, observed)
        scale = out.pooled.abs().amax()
        return replace(out, pooled=out.pooled / scale)


@pytest.mark.parametrize(
    ("component", "defect"),
    [
        (Averaging, "appending padding frames changes the result"),
        (Multiplying, "nan at hidden frames changes the result .`pooled`"),
        (Biased, "`pooled` other than zero"),
        (BatchNormed, "sample 0 alone differs"),
    ],
)
def test_defects_of_encoders_are_found(component: type[Encoder], defect):
    with pytest.raises(AssertionError, match=f"^{component.__name__}: .*{defect}"):
        testing.check_encoder(component)


class MappingOrder(Concat):
    """Concatenates in the order of the mapping."""

    def forward(self, encoded):
        joint = torch.cat([e.pooled for e in encoded.values()], dim=1)
        return Outputs(encoded, joint, self.head(joint))


class LastStep(Concat):
    """Reads the last step even where it is padding."""

    def forward(self, encoded):
        joint = torch.cat([encoded[m].sequence[:, -1] for m in self.modalities], dim=1)
        return Outputs(encoded, joint, self.head(joint))


class Dividing(Concat):
    """Divides by the length of an absent modality's zero vector."""

    def forward(self, encoded):
        parts = [encoded[m].pooled for m in self.modalities]
        joint = torch.cat([x / x.norm(dim=1, keepdim=True) for x in parts], dim=1)
        return Outputs(encoded, joint, self.head(joint))


@pytest.mark.parametrize(
    ("component", "defect"),
    [
        (MappingOrder, "the order of the mapping matters"),
        (LastStep, "appending padding frames changes the result"),
        (Dividing, "outputs are not finite"),
    ],
)
def test_defects_of_fusions_are_found(component: type[Fusion], defect):
    with pytest.raises(AssertionError, match=f"^{component.__name__} .*{defect}"):
        testing.check_fusion(component)


def test_what_depends_on_padding_says_so():
    message = "`fixed_length` does not say so"
    with pytest.raises(AssertionError, match=message):
        testing.check_encoder(Averaging, padding=0)
    with pytest.raises(AssertionError, match=message):
        testing.check_fusion(LastStep, padding=0)


def term(name, function, **flags):
    """A distiller made of a function of the two joint representations and the batch."""
    body = {"forward": lambda self, student, teacher, batch: function(student, teacher, batch), **flags}
    return type(name, (Distiller,), body)


DEFECTS = {
    "the teacher gets a gradient": lambda s, t, b: F.mse_loss(s.joint, t.joint),
    "the loss is no scalar": lambda s, t, b: (s.joint - t.joint.detach()).square(),
    "the loss has no gradient": lambda s, t, b: (s.joint - t.joint).detach().square().mean(),
    "student equal to teacher: the student's gradient is not finite": (
        lambda s, t, b: (s.joint - t.joint.detach()).square().sum().sqrt()
    ),
    "batch of one: fails with IndexError": lambda s, t, b: s.joint.sort(dim=0).values[1].sum(),
    "batch of one: the loss is (nan|-?inf)": lambda s, t, b: s.joint.sum() / (len(b) - 1),
    "the order of samples matters": lambda s, t, b: (s.joint[0] - t.joint[0].detach()).square().mean(),
    "NaN at hidden frames: the loss is nan": lambda s, t, b: s.joint.mean() * b.features["text"].mean(),
    "a teacher padded further: fails with RuntimeError": (
        lambda s, t, b: (s.encoded["text"].sequence - t.encoded["text"].sequence.detach()).square().mean()
    ),
    "how far the teacher is padded changes the loss": (
        lambda s, t, b: (s.joint - t.encoded["text"].sequence.detach().mean()).square().mean()
    ),
    "all samples equal: the student's gradient is not finite": (
        lambda s, t, b: (
            (s.joint.unsqueeze(0) - s.joint.unsqueeze(1))[~torch.eye(len(b)).bool()].square().sum(1).sqrt().sum()
        )
    ),
}


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_defects_of_distillers_are_found(defect):
    with pytest.raises(AssertionError, match=f"^Broken .*{defect}"):
        testing.check_distiller(term("Broken", DEFECTS[defect]), DistillerConfig())


def test_a_term_that_claims_to_need_responses_only_is_held_to_it():
    liar = term("Liar", lambda s, t, b: F.mse_loss(s.joint, t.joint.detach()), representations=False)
    with pytest.raises(AssertionError, match="teacher with responses only"):
        testing.check_distiller(liar, DistillerConfig())


def test_targets_without_a_category_are_tried():
    loss = term("Dividing", lambda s, t, b: s.logits.square().sum() / (b.target != 0).sum())
    with pytest.raises(AssertionError, match="no target has a category: the loss is inf"):
        testing.check_distiller(loss, DistillerConfig(), counts=[1], tasks=[testing.TASKS[1]])


def test_a_term_that_does_not_say_that_it_reads_targets_is_found():
    def loss(s, t, b):
        return s.joint.square().mean() * b.target.float().square().mean()

    with pytest.raises(AssertionError, match="the targets change the loss, and `targets` is False"):
        testing.check_distiller(term("Silent", loss), DistillerConfig(), counts=[1], tasks=[testing.TASKS[0]])
    testing.check_distiller(term("Honest", loss, targets=True), DistillerConfig())


class Reference(Masker):
    """Hides a frame where `hidden` says so."""

    def __call__(self, batch, draw):
        return batch.hide({m: self.hidden(batch, m, draw) for m in batch.observed})


class Positional(Reference):
    """Draws by place in the batch."""

    def hidden(self, batch, m, draw):
        return torch.rand(batch.observed[m].shape, generator=torch.Generator().manual_seed(draw.seed)) < 0.5


class Fresh(Reference):
    """Draws from the global generator."""

    def hidden(self, batch, m, draw):
        return torch.rand(batch.observed[m].shape) < 0.5


class Frozen(Reference):
    """Draws the same in every epoch."""

    def hidden(self, batch, m, draw):
        return replace(draw, epoch=0).frames(batch.key, batch.observed[m].shape[1], m) < 0.5


class ByLength(Reference):
    """Draws by the padded length."""

    def hidden(self, batch, m, draw):
        time = batch.observed[m].shape[1]
        return draw.frames(batch.key, time, m, time) < 0.5


class Revealing(Reference):
    """Shows padding."""

    def __call__(self, batch, draw):
        return replace(batch, observed={m: torch.ones_like(o) for m, o in batch.observed.items()})


class InPlace(FrameDropout):
    """Writes into the batch that it is given."""

    def __call__(self, batch, draw):
        out = super().__call__(batch, draw)
        for m, seen in batch.observed.items():
            seen &= out.observed[m]
        return out


class Louder(FrameDropout):
    """Changes features and does not say so."""

    def __call__(self, batch, draw):
        return replace(batch, features={m: 2 * x for m, x in batch.features.items()})


class Guessing(FrameDropout):
    """Says that it changes features, and shows what was missing."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(batch, observed={m: torch.ones_like(o) for m, o in batch.observed.items()})


class Spreading(FrameDropout):
    """Says that it changes features, and mixes those of unobserved frames into others."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(batch, features={m: x + F.pad(x[:, :-1], (0, 0, 1, 0)) for m, x in batch.features.items()})


class Batchwise(FrameDropout):
    """Says that it changes features, by an amount that depends on the batch."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(batch, features={m: x + len(batch) for m, x in batch.features.items()})


@pytest.mark.parametrize(
    ("component", "defect"),
    [
        (Louder, "features were changed or copied, and `changes_features` does not say so"),
        (Guessing, "more frames are observed than before"),
        (Spreading, "the features of unobserved frames matter .'features of text'"),
        (Batchwise, "the size of the batch matters .'features of text'"),
        (Positional, "the order of samples matters"),
        (Fresh, "the same draw hides other frames"),
        (Frozen, "another epoch hides the same frames"),
        (ByLength, "appending padding frames changes the holes"),
        (Revealing, "a frame that was not observed is observed now"),
        (InPlace, "the input batch was changed"),
    ],
)
def test_defects_of_maskers_are_found(component, defect):
    config = FrameDropout.Config(rate=0.5) if issubclass(component, FrameDropout) else ComponentConfig()
    with pytest.raises(AssertionError, match=f"^{component.__name__}: .*{defect}"):
        testing.check_masker(component(config))


@pytest.mark.parametrize("task", testing.TASKS, ids=lambda task: task.kind)
def test_built_batches_fit_their_task(task):
    full = testing.batch(3, task=task)
    context = testing.context(full, task)
    out = testing.outputs(full, context)
    assert task.objective(out.logits, full.target).isfinite()
    assert all(full.present(m)[0] for m in full.observed)
    assert any(not full.present(m).all() for m in full.observed)
