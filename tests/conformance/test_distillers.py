"""Wrong loss terms, each with one defect, fail with a message that names it."""

import pytest
import torch
import torch.nn.functional as F

from mmsa_core import testing
from mmsa_core.components import Distiller, DistillerConfig
from mmsa_core.testing import distillers
from mmsa_core.types import Outputs

CALLS = []
NOISE = torch.Generator().manual_seed(0)


def term(function, **flags):
    """A distiller made of a function of student, teacher and batch."""
    body = {"forward": lambda self, student, teacher, batch: function(student, teacher, batch), **flags}
    return type("Broken", (Distiller,), body)


def right(s, t, b):
    return (s.joint - t.joint.detach()).square().sum() / max(1, len(b))


def pairs(s, t, b):
    difference = (s.joint.unsqueeze(0) - s.joint.unsqueeze(1))[~torch.eye(len(b)).bool()]
    return difference.square().sum(1).sqrt().sum()


def labelled(s, t, b):
    return s.joint.square().mean() * b.target.float().square().mean()


def seconds(s, t, b):
    return s.joint.sum() * 0 + s.joint.sort(dim=0).values[1].sum()


def frames(s, t, b):
    return (s.encoded["text"].sequence - t.encoded["text"].sequence.detach()).square().mean()


def spread(s, t, b):
    return right(s, t, b) + t.encoded["text"].sequence.detach().mean()


def own_spread(s, t, b):
    return right(s, t, b) + s.encoded["text"].sequence.abs().sum() / s.encoded["text"].sequence.shape[1]


def shares(s, t, b):
    """Divides by the number of samples that have a modality."""
    return s.joint.square().sum() / b.present("text").sum()


DEFECTS = [
    ("finite", "the loss is no scalar", lambda s, t, b: (s.joint - t.joint.detach()).square()),
    ("finite", "the loss has no gradient", lambda s, t, b: (s.joint - t.joint).detach().square().mean()),
    (
        "finite",
        "student equal to teacher: the student's gradient is not finite",
        lambda s, t, b: (s.joint - t.joint.detach()).square().sum().sqrt(),
    ),
    ("finite", "all samples equal: the student's gradient is not finite", pairs),
    ("teacher", "the teacher gets a gradient; detach it", lambda s, t, b: F.mse_loss(s.joint, t.joint)),
    ("order", "the order of samples matters", lambda s, t, b: (s.joint[:1] - t.joint[:1].detach()).square().sum()),
    ("hidden", "NaN at hidden frames: the loss is nan", lambda s, t, b: s.joint.sum() * b.features["text"].sum()),
    ("hidden", "a teacher padded further: fails with RuntimeError", frames),
    ("hidden", "how far the teacher is padded changes the loss", spread),
    ("hidden", "how far the student is padded changes the loss", own_spread),
    ("sizes", "batch of one: fails with IndexError", seconds),
    ("sizes", "batch of one: the loss is (nan|-?inf)", lambda s, t, b: s.joint.sum() / (len(b) - 1)),
    ("sizes", "batch of none: the loss is nan", lambda s, t, b: F.mse_loss(s.joint, t.joint.detach())),
    ("absent", "all samples lack 'text': the loss is nan", shares),
    (
        "absent",
        "no target has a category: the loss is inf",
        lambda s, t, b: s.logits.abs().sum() / (b.target != 0).sum(),
    ),
    ("claims", "the targets change the loss, and `targets` is False", labelled),
    ("shares", "one of them finds another loss", lambda s, t, b: right(s, t, b) + len(CALLS.append(0) or CALLS)),
    ("dtypes", "fails in float64", lambda s, t, b: (s.joint @ torch.eye(s.joint.shape[1])).square().sum()),
    ("dtypes", "not finite in float16", lambda s, t, b: right(s, t, b) + (1e6 * s.joint).sum() * 0),
    ("seed", "gives another result in evaluation", lambda s, t, b: right(s, t, b) + torch.rand((), generator=NOISE)),
    ("seed", "it sets the seed", lambda s, t, b: (torch.manual_seed(0), right(s, t, b))[1]),
    ("device", "given tensors on cpu and meta", lambda s, t, b: (s.joint * torch.ones(s.joint.shape[1])).sum()),
]


@pytest.mark.parametrize(("label", "message", "function"), DEFECTS, ids=lambda x: None if callable(x) else x)
def test_what_is_wrong_is_named(label, message, function, finds):
    tasks = testing.TASKS[:2]
    found = distillers.outcomes(term(function), DistillerConfig(), counts=(1, 2), tasks=tasks, dim=8)
    finds(found, label, f"^Broken .*{message}")


def test_what_is_right_has_no_defect():
    testing.check_distiller(term(right))
    testing.check_distiller(term(lambda s, t, b: 0 * s.joint.sum() + labelled(s, t, b).nan_to_num(), targets=True))


def test_a_term_that_claims_to_need_responses_only_is_held_to_it(finds):
    found = distillers.outcomes(term(right, representations=False), DistillerConfig())
    finds(found, "claims", "teacher with responses only: the loss is nan")


def test_a_term_that_needs_no_teacher_is_held_to_it(finds):
    found = distillers.outcomes(term(right, needs_teacher=False), DistillerConfig())
    finds(found, "claims", "the teacher changes the loss, and `needs_teacher` is False")


def test_what_is_observed_is_a_scalar(finds):
    class Telling(Distiller):
        def forward(self, student, teacher, batch):
            self.observe(each=student.joint.sum(dim=1))
            return right(student, teacher, batch)

    finds(distillers.outcomes(Telling, DistillerConfig()), "finite", "it observes each, which is no scalar")


def test_what_it_reads_needs_an_example(finds):
    class More(Outputs):
        pass

    found = distillers.outcomes(term(right, reads=More), DistillerConfig())
    finds(found, "finite", "More has no `example` of its own; write one")


def test_an_order_that_matters_by_intent_is_not_tried():
    def first(s, t, b):
        return (s.joint[:1] - t.joint[:1].detach()).square().sum()

    testing.check_distiller(term(first), counts=(1,), invariant=False)
