import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.distillers.relational import angle_wise, distance_wise, distances

EQUAL = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
LINE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])


def test_distances_by_hand():
    # Line: distances 1, 1, 2 over their mean 4/3 are 3/4, 3/4, 3/2; equilateral: all 1.
    wanted = (2 * 0.25**2 / 2 + 0.5**2 / 2) / 3
    torch.testing.assert_close(distance_wise(LINE, EQUAL, 1.0), torch.tensor(wanted))


def test_angles_by_hand():
    # Cosines of the line: 1 at both ends, -1 in the middle; of the triangle: 1/2. Huber: 0.5^2 / 2 and 1.5 - 1/2.
    wanted = (2 * 0.125 + 1.0) / 3
    torch.testing.assert_close(angle_wise(LINE, EQUAL, 1.0), torch.tensor(wanted))


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.1, 10), turn=st.floats(0, 6.28), count=st.integers(2, 6))
def test_only_the_shape_of_the_cloud_counts(scale, turn, count):
    h = torch.randn(count, 2, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=h.dtype)
    moved = scale * h @ rotation + 3.0
    for term in (distance_wise, angle_wise):
        torch.testing.assert_close(term(moved, h, 1.0), torch.zeros((), dtype=h.dtype), atol=1e-12, rtol=0)


def test_equal_samples_give_finite_gradients():
    h = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.5]], requires_grad=True)
    for h_s in (h, h[:1], h[:2], h * 0):
        for term in (distance_wise, angle_wise):
            value = term(h_s, torch.tensor([[0.0], [0.0], [1.0]])[: len(h_s)], 1.0)
            assert value.isfinite()
            assert torch.autograd.grad(value, h, retain_graph=True)[0].isfinite().all()


def test_directions():
    length, direction = distances(LINE)
    assert length.tolist() == [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    assert direction[0, 2].tolist() == [1.0, 0.0], "at [j, i]: from j to i"
