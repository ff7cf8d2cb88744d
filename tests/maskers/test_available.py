from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsa_core import testing
from mmsa_core.errors import UserError
from mmsa_core.maskers.available import Available
from mmsa_core.missing import Draw


def complete(samples, modalities=3):
    full = testing.batch(modalities, samples)
    return replace(full, observed={m: torch.ones_like(o) for m, o in full.observed.items()})


def kept(full, **fields):
    out = Available(Available.Config(**fields))(full, Draw("test", 1))
    return torch.stack([out.present(m) for m in full.observed], dim=1)


def test_by_hand():
    # At 0.4 a half keeps one modality, a fifth two: the bounds are 0.5 and 0.7.
    full, draw = complete(400), Draw("test", 1)
    number = draw.samples(full.key, "available")
    assert torch.equal(kept(full, rate=0.4).sum(dim=1), 1 + (number >= 0.5).long() + (number >= 0.7).long())
    own = torch.stack([draw.samples(full.key, "available", m) for m in full.observed], dim=1)
    one = number < 0.5
    assert torch.equal(kept(full, rate=0.4)[one], (own == own.amax(dim=1, keepdim=True))[one])


@pytest.mark.parametrize("rate", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
def test_the_rate_is_the_share_of_hidden_modalities(rate):
    found = kept(complete(4000), rate=rate)
    wanted = 2 / 3 if rate == 0.7 else rate
    assert 1 - found.float().mean().item() == pytest.approx(wanted, abs=0.015)
    assert found.any(dim=1).all()


def test_every_choice_of_so_many_is_equally_likely():
    found = kept(complete(3000), probabilities=[0, 5, 0])
    count = Counter(map(tuple, found.tolist()))
    assert set(count) == {(True, True, False), (True, False, True), (False, True, True)}
    for number in count.values():
        assert number / 3000 == pytest.approx(1 / 3, abs=0.04)


def test_probabilities_of_any_number_of_modalities():
    found = kept(complete(4000, 4), probabilities=[1, 1, 0, 2]).sum(dim=1)
    assert (found.bincount(minlength=5) / 4000).tolist() == pytest.approx([0, 0.25, 0.25, 0, 0.5], abs=0.03)
    with pytest.raises(UserError, match="has 3 values, and the data have 4 modalities; give probabilities with 4"):
        kept(complete(5, 4), rate=0.1)


@settings(deadline=None, max_examples=25)
@given(weights=st.lists(st.floats(0, 9), min_size=3, max_size=3).filter(any))
def test_samples_that_have_fewer_keep_what_they_have(weights):
    full = testing.batch(3, 40)
    present = torch.stack([full.present(m) for m in full.observed], dim=1)
    found = kept(full, probabilities=weights)
    drawn = kept(complete(40), probabilities=weights).sum(dim=1)
    assert torch.equal(found.sum(dim=1), drawn.minimum(present.sum(dim=1)))
    assert not (found & ~present).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give either rate or probabilities"),
        ({"rate": 0.1, "probabilities": [1]}, "give either rate or probabilities"),
        ({"rate": 0.15}, r"rate 0.15 is not in the published table \(0, 0.1, .*0.7\); give probabilities"),
        ({"probabilities": [0, 0]}, "every probability is 0"),
        ({"probabilities": [-1, 2]}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Available.Config(**fields)
