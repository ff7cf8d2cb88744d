import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.attention.dropout import dropout, factors, keep_mask, levels

pytestmark = pytest.mark.usefixtures("few")

DRAWS = 1 << 16
BYTES = 8
"""Masks are drawn as words of 64 bits."""


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def dropped(*values):
    """Levels, one row each."""
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1)


def near(share, wanted, draws, spread=None):
    """Within five standard errors of the mean of that many independent draws."""
    spread = math.sqrt(wanted * (1 - wanted)) if spread is None else spread
    return abs(share - wanted) < 5 * spread / math.sqrt(draws)


@pytest.mark.parametrize(
    ("rate", "level"), [(0.0, 0), (0.0019, 0), (0.002, 1), (0.3, 77), (0.5, 128), (0.75, 192), (0.9999, 255)]
)
def test_levels_by_hand(rate, level):
    assert levels(rate) == level


@pytest.mark.parametrize("level", [1, 51, 77, 128, 200, 255])
def test_the_kept_share_is_the_level_that_is_asked_for(level):
    keep = keep_mask((1, 2 * DRAWS), dropped(level))
    assert keep.dtype == torch.uint8
    assert keep.max() <= 1
    assert near(keep.float().mean().item(), 1 - level / 256, keep.numel())


@pytest.mark.parametrize("level", [26, 77, 128, 192, 250])
def test_every_byte_of_a_word_is_unbiased(level):
    shares = keep_mask((DRAWS, BYTES), dropped(level)).float().mean(dim=0).tolist()
    assert [lane for lane, share in enumerate(shares) if not near(share, 1 - level / 256, DRAWS)] == []


def test_the_bytes_of_a_word_are_independent():
    keep = keep_mask((DRAWS, BYTES), dropped(128)).double()
    correlation = torch.corrcoef(keep.T) - torch.eye(BYTES, dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(DRAWS)


def test_rows_of_different_rates_have_each_their_own_share_and_are_independent():
    rows = [0, 51, 128, 230]
    keep = keep_mask((len(rows), DRAWS), dropped(*rows)).double()
    assert keep[0].all()
    for level, row in zip(rows[1:], keep[1:], strict=True):
        assert near(row.mean().item(), 1 - level / 256, DRAWS)
    correlation = torch.corrcoef(keep[1:]) - torch.eye(3, dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(DRAWS)


@settings(deadline=None, max_examples=30)
@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=4), level=st.sampled_from([0, 100]))
def test_any_shape(shape, level):
    keep = keep_mask(shape, torch.tensor(level, dtype=torch.uint8))
    assert keep.shape == tuple(shape)
    assert level or keep.all()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_factors_are_zero_or_the_inverse_of_the_rate_that_is_used(rate):
    found = factors((1000,), rate, torch.zeros(1, dtype=torch.float64))
    assert found.dtype == torch.float64
    assert found.unique().tolist() == [0.0, 256 / (256 - round(256 * rate))]


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.8])
def test_the_expectation_is_the_input(rate):
    x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    out = dropout(x.expand(DRAWS, 3), rate, training=True)
    used = levels(rate) / 256
    for value, mean in zip(x.tolist(), out.mean(dim=0).tolist(), strict=True):
        assert near(mean, value, DRAWS, spread=abs(value) * math.sqrt(used / (1 - used)))


def test_the_gradient_is_the_factor():
    x = torch.full((64,), 3.0, requires_grad=True)
    out = dropout(x, 0.5, training=True)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), x)[0], out.detach() / 3)


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.001, True), (0.5, False)])
def test_it_does_nothing_at_rate_zero_and_in_evaluation(rate, training):
    x, before = torch.randn(5, 3), torch.get_rng_state()
    assert dropout(x, rate, training) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_gives_the_same_mask_and_the_next_draw_another_one():
    def draw():
        return factors((4, 33), 0.5, torch.zeros(1))

    torch.manual_seed(3)
    first, second = draw(), draw()
    torch.manual_seed(3)
    assert torch.equal(draw(), first)
    assert not torch.equal(first, second)
