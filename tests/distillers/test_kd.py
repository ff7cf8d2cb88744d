import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import testing
from mmsa_core.distillers.kd import LogitDistillation, kd
from mmsa_core.tasks import BinaryLabels

FLOATS = st.lists(st.floats(-20, 20), min_size=3, max_size=3)


def test_by_hand():
    z_s, z_t = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[math.log(3.0), 0.0], [5.0, 5.0]])
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    torch.testing.assert_close(kd(z_s, z_t, 1.0), torch.tensor(divergence / 2))
    torch.testing.assert_close(kd(2 * z_s, 2 * z_t, 2.0), torch.tensor(4 * divergence / 2))


@settings(deadline=None, max_examples=40)
@given(s=FLOATS, t=FLOATS, temperature=st.floats(0.5, 8), shift=st.floats(-5, 5))
def test_is_a_divergence(s, t, temperature, shift):
    z_s, z_t = torch.tensor([s], dtype=torch.float64), torch.tensor([t], dtype=torch.float64)
    value = kd(z_s, z_t, temperature)
    assert value >= -1e-9
    torch.testing.assert_close(kd(z_s + shift, z_t, temperature), value)
    torch.testing.assert_close(kd(z_s, z_s, temperature), torch.zeros((), dtype=torch.float64))


def test_confident_responses_stay_finite():
    z_s = torch.tensor([[200.0, -200.0]], requires_grad=True)
    value = kd(z_s, torch.tensor([[-200.0, 200.0]]), 1.0)
    torch.testing.assert_close(value, torch.tensor(400.0))
    assert torch.autograd.grad(value, z_s)[0].isfinite().all()


def test_binary_labels_are_averaged():
    task = BinaryLabels(names=("happy", "sad"))
    batch = testing.batch(2, task=task)
    context = testing.context(batch, task)
    student, teacher = testing.outputs(batch, context, 1), testing.outputs(batch, context, 2)
    parts = [kd(student.logits[:, i : i + 2], teacher.logits[:, i : i + 2], 2.0) for i in (0, 2)]
    value = LogitDistillation(LogitDistillation.Config(), context)(student, teacher, batch)
    torch.testing.assert_close(value, sum(parts) / 2)
