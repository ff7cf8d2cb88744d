from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.missing import GOLDEN, Draw, derive, keys, mix, unit

KEY = keys([f"video_{i}" for i in range(2000)])
DRAW = Draw("train", seed=1, epoch=1)


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def test_splitmix64_by_hand():
    """The first outputs of the published generator from state 0, which advances by GOLDEN."""
    state = torch.arange(1, 4) * GOLDEN
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mix(state).tolist() == [signed(value) for value in published]


def test_unit_takes_the_top_bits():
    assert unit(torch.tensor([0, -1, 1 << 62, -(1 << 63)])).tolist() == [0.0, 1 - 2.0**-24, 0.25, 0.5]


def test_derived_seeds_tell_their_parts_apart():
    assert derive("a", 1) == derive("a", 1)
    assert len({derive("a", 1), derive("a", 2), derive("a1"), derive("a", "", 1), derive(1, "a")}) == 5
    assert 0 <= derive("a") < 1 << 63


def test_equal_ids_have_different_keys():
    assert len(set(keys(["a", "a", "b", "a"]).tolist())) == 4
    assert torch.equal(keys(["a", "b"]), keys(["b", "a"]).flip(0))


def numbers(**change):
    """Numbers of 2000 samples and 40 frames, with one coordinate changed."""
    draw = Draw(change.get("protocol", "train"), change.get("seed", 1), change.get("epoch", 1))
    return draw.frames(KEY, 40, change.get("purpose", "frames"), change.get("modality", "text"))


@pytest.mark.parametrize("cells", [10, 64])
@pytest.mark.parametrize("source", ["frames", "samples", "one sample", "one frame"])
def test_uniform(source, cells):
    drawn = {
        "frames": numbers().flatten(),
        "samples": torch.cat([DRAW.samples(KEY, "rate", i) for i in range(20)]),
        "one sample": DRAW.frames(KEY[:1], 40_000, "text").flatten(),
        "one frame": torch.cat([Draw("train", seed, 1).frames(KEY, 3, "text")[:, 2] for seed in range(20)]),
    }[source]
    assert 0 <= drawn.min() <= drawn.max() < 1
    count = (drawn * cells).long().bincount(minlength=cells)
    wanted = len(drawn) / cells
    chi_square = ((count - wanted) ** 2 / wanted).sum().item()
    freedom = cells - 1
    assert abs(chi_square - freedom) < 4.5 * (2 * freedom) ** 0.5 + 5


@pytest.mark.parametrize(
    "change", [{"modality": "audio"}, {"epoch": 2}, {"seed": 2}, {"protocol": "valid"}, {"purpose": "rate"}], ids=str
)
def test_other_coordinates_give_independent_numbers(change):
    one, other = numbers().flatten(), numbers(**change).flatten()
    correlation = torch.corrcoef(torch.stack([one, other]))[0, 1]
    assert abs(correlation) < 4.5 / len(one) ** 0.5
    both = ((one < 0.5) & (other < 0.5)).float().mean()
    assert abs(both - 0.25) < 4.5 * (0.1875 / len(one)) ** 0.5


def test_frames_and_neighbouring_samples_are_independent():
    drawn = numbers().double()
    for one, other in [(drawn[:, :-1], drawn[:, 1:]), (drawn[:-1], drawn[1:]), (drawn[:-1, :-1], drawn[1:, 1:])]:
        assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 4.5 / one.numel() ** 0.5
    across = torch.corrcoef(drawn.T) - torch.eye(40)
    assert across.abs().max() < 5.5 / len(drawn) ** 0.5
    per_sample = drawn.mean(dim=1).var() / (1 / 12 / 40)
    assert per_sample.item() == pytest.approx(1, abs=0.15), "no sample is missing more than chance says"


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(12)), size=st.integers(1, 12), longer=st.integers(0, 9))
def test_neither_order_nor_batch_nor_length_matters(order, size, longer):
    key, index = KEY[:12], torch.tensor(order)
    whole, alone = DRAW.frames(key, 6, "text"), DRAW.samples(key, "text")
    assert torch.equal(DRAW.frames(key[index], 6, "text"), whole[index])
    assert torch.equal(DRAW.frames(key[:size], 6 + longer, "text")[:, :6], whole[:size])
    assert torch.equal(DRAW.samples(key[index][:size], "text"), alone[index][:size])


def test_masks_of_increasing_rates_are_nested():
    drawn = numbers()
    masks = [drawn < rate for rate in torch.linspace(0, 1, 11).tolist()]
    assert not masks[0].any()
    assert masks[-1].all()
    for smaller, larger in pairwise(masks):
        assert (larger | ~smaller).all()
        assert larger.sum() > smaller.sum()


def test_normal():
    number = DRAW.normal(KEY, 20, 3, "noise")
    assert number.shape == (2000, 20, 3)
    assert number.mean().item() == pytest.approx(0, abs=0.015)
    assert number.var().item() == pytest.approx(1, abs=0.02)
    for bound, share in ((-1.0, 0.158655), (0.0, 0.5), (2.0, 0.977250)):
        assert (number < bound).double().mean().item() == pytest.approx(share, abs=4.5 * 0.5 / number.numel() ** 0.5)
    across = torch.corrcoef(number.flatten(0, 1).T)
    along = torch.corrcoef(number[:, :, 0].T)
    for found in (across, along):
        assert (found - torch.eye(len(found))).abs().max() < 0.11
    part = DRAW.normal(KEY[7:9], 5, 2, "noise")
    assert torch.equal(part, number[7:9, :5, :2]), "it depends on sample, frame and column alone"
    assert not torch.equal(DRAW.normal(KEY[:2], 5, 2, "other"), number[:2, :5, :2])
