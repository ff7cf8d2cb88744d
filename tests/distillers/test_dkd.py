import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import testing
from mmsa_core.distillers.dkd import DecoupledDistillation, nontarget_part, others, target_part
from mmsa_core.distillers.kd import kd
from mmsa_core.tasks import Bins, Classification

ROWS = st.lists(st.lists(st.floats(-15, 15), min_size=4, max_size=4), min_size=1, max_size=5)


def test_by_hand():
    z_s, target = torch.zeros(1, 3), torch.tensor([1])
    z_t = torch.tensor([[math.log(3.0), math.log(4.0), 0.0]])  # probabilities 3/8, 4/8, 1/8
    tckd = 0.5 * math.log(0.5 / (1 / 3)) + 0.5 * math.log(0.5 / (2 / 3))
    nckd = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    torch.testing.assert_close(target_part(z_s, z_t, target, 1.0), torch.tensor([tckd]))
    torch.testing.assert_close(nontarget_part(z_s, z_t, target, 1.0), torch.tensor([nckd]))


def test_others_leave_the_target_out():
    z = torch.tensor([[10.0, 11.0, 12.0]]).expand(3, 3)
    assert others(z, torch.tensor([0, 1, 2])).sort(dim=1)[0].tolist() == [[11.0, 12.0], [10.0, 12.0], [10.0, 11.0]]


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, temperature=st.floats(0.5, 8), target=st.integers(0, 3))
def test_the_parts_make_up_plain_distillation(rows, temperature, target):
    z_t = torch.tensor(rows, dtype=torch.float64)
    z_s = z_t.flip(0, 1) / 2
    own = torch.full((len(rows),), target)
    rest = 1 - (z_t / temperature).softmax(dim=1)[:, target]
    total = target_part(z_s, z_t, own, temperature) + rest * nontarget_part(z_s, z_t, own, temperature)
    torch.testing.assert_close(total.mean(), kd(z_s, z_t, temperature))


def test_two_classes_have_no_nontarget_part():
    z_s = torch.tensor([[3.0, -1.0]], requires_grad=True)
    part = nontarget_part(z_s, torch.tensor([[0.0, 1.0]]), torch.tensor([0]), 4.0).sum()
    assert part == 0
    assert not torch.autograd.grad(part, z_s)[0].any()


def test_samples_without_a_category_contribute_nothing():
    task = Bins(classes=2)
    full = testing.batch(2, task=task)
    full = replace(full, target=torch.tensor([1.0, 0.0, -2.0, 0.0, 0.0, 3.0]))
    context = testing.context(full, task)
    student, teacher = testing.outputs(full, context, 1), testing.outputs(full, context, 2)
    term = DecoupledDistillation(DecoupledDistillation.Config(), context)
    kept = torch.tensor([0, 2, 5])
    alone = term(*(testing.rows(part, kept) for part in (student, teacher, full)))
    torch.testing.assert_close(term(student, teacher, full), alone)
    logits = student.logits.detach().requires_grad_()
    gradient = torch.autograd.grad(term(replace(student, logits=logits), teacher, full), logits)[0]
    assert gradient.any(dim=1).nonzero()[:, 0].tolist() == kept.tolist()


@pytest.mark.parametrize(("task", "warns"), [(Bins(classes=2), True), (Classification(classes=3), False)])
def test_diagnosis_and_observations(task, warns):
    full = testing.batch(2, task=task)
    context = testing.context(full, task)
    term = DecoupledDistillation(DecoupledDistillation.Config(alpha=2.0, beta=3.0), context)
    loss = term(testing.outputs(full, context, 1), testing.outputs(full, context, 2), full)
    seen = term.observations
    torch.testing.assert_close(2 * seen["target"] + 3 * seen["nontarget"], loss)
    assert (term.diagnose({}) is not None) == warns
