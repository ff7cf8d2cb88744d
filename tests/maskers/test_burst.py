from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import missing, testing
from mmsa_core.maskers.burst import Burst, bursts
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


def batch(samples, frames):
    observed = {"text": torch.ones(samples, frames, dtype=torch.bool)}
    key = missing.keys([str(i) for i in range(samples)])
    features = {"text": torch.zeros(samples, frames, 1)}
    return Batch(features, observed, torch.zeros(samples), torch.arange(samples), key)


def hidden(full, **fields):
    return ~Burst(Burst.Config(**fields))(full, Draw("test", 1)).observed["text"]


def chain(rate, length, first, number):
    """The process step by step."""
    lost, states = first < rate, []
    for u in number:
        lost = u < (1 - 1 / length if lost else rate / ((1 - rate) * length))
        states.append(lost)
    return states


def test_by_hand():
    # rate 1/4, length 3: P(lost | lost) = 2/3, P(lost | arrived) = (1/4) / (3/4 * 3) = 1/9.
    number = torch.tensor([[0.5, 0.05, 0.6, 0.7, 0.3, 0.1, 0.66, 0.67]])
    found = bursts(torch.tensor([0.25]), 3.0, torch.tensor([0.9]), number)
    assert found.tolist() == [[False, True, True, False, False, True, True, False]]
    found = bursts(torch.tensor([0.25]), 3.0, torch.tensor([0.1]), number)
    assert found[0, 0], "the state before the first frame was lost, and 0.5 leaves it so"


@settings(deadline=None, max_examples=50)
@given(rate=st.floats(0, 0.79), seed=st.integers(0, 10**6))
def test_it_is_the_process(rate, seed):
    number = torch.rand(1, 30, generator=torch.Generator().manual_seed(seed))
    found = bursts(torch.tensor([rate]), 5.0, torch.tensor([0.4]), number)
    assert found[0].tolist() == chain(rate, 5.0, 0.4, number[0].tolist())


@pytest.mark.parametrize(("rate", "length"), [(0.2, 4.0), (0.5, 4.0), (0.5, 10.0), (0.1, 2.0)])
def test_rate_and_length_of_bursts(rate, length):
    lost = hidden(batch(400, 500), rate=rate, length=length)
    assert lost.float().mean().item() == pytest.approx(rate, abs=0.015)
    assert lost[:, 0].float().mean().item() == pytest.approx(rate, abs=0.08), "stationary from the first frame on"
    begun = (lost[:, 1:] & ~lost[:, :-1]).sum().item()
    assert lost[:, 1:].sum().item() / begun == pytest.approx(length, rel=0.06)


@pytest.mark.parametrize(("rate", "length"), [(0.8, 2.0), (0.5, 1.0)])
def test_bursts_are_never_shorter_than_those_of_independent_losses(rate, length):
    lost = hidden(batch(400, 500), rate=rate, length=length)
    assert lost.float().mean().item() == pytest.approx(rate, abs=0.01)
    pairs = (lost[:, 1:] & lost[:, :-1]).float().mean().item()
    assert pairs == pytest.approx(rate**2, abs=0.015), "neighbours are independent"


def test_nothing_everything_and_all_but_one():
    full = testing.batch(3, 50)
    for m, seen in full.observed.items():
        for rate, keep_one, wanted in ((0, False, seen), (1, False, torch.zeros_like(seen))):
            out = Burst(Burst.Config(rate=rate, keep_one=keep_one))(full, Draw("test", 1))
            assert torch.equal(out.observed[m], wanted)
        out = Burst(Burst.Config(rate=1))(full, Draw("test", 1))
        assert torch.equal(out.observed[m].sum(dim=1), full.present(m).long())


@settings(deadline=None, max_examples=25)
@given(low=st.floats(0, 1), high=st.floats(0, 1), length=st.floats(1, 20))
def test_holes_grow_with_the_rate(low, high, length):
    low, high = sorted((low, high))
    full, draw = testing.batch(2, 30), Draw("test", 3)
    many = Burst(Burst.Config(rate=low, length=length, keep_one=False))(full, draw)
    few = Burst(Burst.Config(rate=high, length=length, keep_one=False))(full, draw)
    kept = Burst(Burst.Config(rate=high, length=length))(full, draw)
    for m in full.observed:
        assert not (few.observed[m] & ~many.observed[m]).any()
        some = few.present(m)
        assert torch.equal(kept.observed[m][some], few.observed[m][some])
        assert (kept.observed[m][~some].sum(dim=1) == full.present(m)[~some]).all(), "one where nothing was left"


def test_modalities_are_independent():
    full = testing.batch(2, 400)
    full = replace(full, observed={m: torch.ones(400, 40, dtype=torch.bool) for m in full.observed})
    out = Burst(Burst.Config(rate=0.5))(full, Draw("test", 1)).observed
    assert (out["text"] == out["audio"]).float().mean().item() == pytest.approx(0.5, abs=0.03)
