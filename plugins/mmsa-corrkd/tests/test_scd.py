import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmsa_corrkd.scd import SampleContrastive, distances, repulsion, sample_contrastive

from mmsa_core import testing

ROWS = st.lists(st.lists(st.floats(-4, 4), min_size=3, max_size=3), min_size=1, max_size=6)
AS_WRITTEN = {"reduction": "sum", "distance": "euclidean"}


def run(h_s, h_t, **fields):
    """The term, its observations and the student's gradient for given representations."""
    full = testing.batch(1, samples=len(h_s))
    made = testing.context(full)
    student, teacher = testing.outputs(full, made, 1), testing.outputs(full, made, 2)
    h_s, h_t = h_s.clone().requires_grad_(), h_t.clone().requires_grad_()
    term = SampleContrastive(SampleContrastive.Config(**fields), made)
    loss = term(replace(student, joint=h_s), replace(teacher, joint=h_t), full)
    loss.backward()
    assert h_t.grad is None
    return loss.detach(), term.observations["active_margins"], h_s.grad


def by_loops(h_s, h_t, eta):
    total = 0.0
    for i, a in enumerate(h_s.tolist()):
        for j, b in enumerate(h_t.tolist()):
            if i != j:
                total += math.dist(a, h_t[i].tolist()) ** 2 + max(0.0, eta - math.dist(a, b)) ** 2
    return total


def test_by_hand():
    h_s, h_t = torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 4.0]])
    # D = [[1, 4], [sqrt 10, 5]]: matching 1 + 25, repulsion at eta 5: (5 - 4)^2 + (5 - sqrt 10)^2
    wanted = 26 + 1 + (5 - math.sqrt(10)) ** 2
    loss, active, _ = run(h_s, h_t, eta=5.0, **AS_WRITTEN)
    torch.testing.assert_close(loss, torch.tensor(wanted))
    assert active == 1
    mean, _, _ = run(h_s, h_t, eta=5.0, distance="euclidean")
    torch.testing.assert_close(mean, torch.tensor(wanted / 2))
    # rms: every distance over sqrt 2; sqrt 10 / sqrt 2 = 2.24 lies inside a margin of 2.5, 4 / sqrt 2 = 2.83 does not
    rms, active, _ = run(h_s, h_t, eta=2.5)
    torch.testing.assert_close(rms, torch.tensor((13 + (2.5 - math.sqrt(5)) ** 2) / 2))
    assert active == 0.5


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, eta=st.floats(0.1, 6))
def test_equals_the_double_loop(rows, eta):
    h_s = torch.tensor(rows, dtype=torch.float64)
    h_t = h_s.flip(0).roll(1, dims=1) / 2 + 0.25
    loss = sample_contrastive(distances(h_s, h_t), eta)
    torch.testing.assert_close(loss.item(), by_loops(h_s, h_t, eta), rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, scale=st.floats(0.1, 10), data=st.data())
def test_order_scale_and_width(rows, scale, data):
    h_s = torch.tensor(rows, dtype=torch.float64)
    h_t = h_s.sin()
    loss, _, _ = run(h_s, h_t)
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    torch.testing.assert_close(run(h_s[order], h_t[order])[0], loss)
    scaled, _, _ = run(h_s * scale, h_t * scale, eta=scale)
    torch.testing.assert_close(scaled, loss * scale**2)
    twice, _, _ = run(h_s.repeat(1, 2), h_t.repeat(1, 2))  # the rms distance does not grow with the width
    torch.testing.assert_close(twice, loss)


@pytest.mark.parametrize("fields", [{}, AS_WRITTEN])
def test_no_distance_no_nan(fields):
    same = torch.ones(4, 3)
    loss, active, gradient = run(same, same, eta=2.0, **fields)  # 12 pairs at distance 0
    torch.testing.assert_close(loss, torch.tensor(48.0 if fields else 4.0))
    assert active == 1
    assert not gradient.any()


def test_batch_of_one_has_no_pair():
    loss, active, gradient = run(torch.ones(1, 3), torch.zeros(1, 3))
    assert loss == 0
    assert active == 0
    assert not gradient.any()


def test_inactive_pairs_add_nothing():
    far = torch.tensor([[0.0], [100.0]])
    loss, active, _ = run(far, far)
    assert loss == 0
    assert active == 0


def test_small_distances_survive_a_large_offset():
    h = torch.tensor([[1000.0], [1000.5]])
    assert repulsion(distances(h, h), 1.0) == 0.5  # twice (1 - 0.5)^2, exactly


@pytest.mark.parametrize("fields", [{}, {"eta": 5.0, **AS_WRITTEN}])
def test_conforms(fields):
    testing.check_distiller(SampleContrastive, SampleContrastive.Config(**fields))
