from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import testing
from mmsa_core.maskers.modality_dropout import ModalityDropout
from mmsa_core.missing import Draw


def kept(full, rate, draw):
    out = ModalityDropout(ModalityDropout.Config(rate=rate))(full, draw)
    return out, torch.stack([out.present(m) for m in full.observed], dim=1)


def test_by_hand():
    full, draw = testing.batch(2, 200), Draw("test", 3)
    number = torch.stack([draw.samples(full.key, "modality_dropout", m) for m in full.observed], dim=1)
    present = torch.stack([full.present(m) for m in full.observed], dim=1)
    number = number.masked_fill(~present, -1)
    wanted = present & ((number >= 0.6) | (number == number.amax(dim=1, keepdim=True)))
    assert torch.equal(kept(full, 0.6, draw)[1], wanted)


def test_shares():
    full = testing.batch(3, 3000)
    full = replace(full, observed={m: torch.ones_like(o) for m, o in full.observed.items()})
    _, survives = kept(full, 0.5, Draw("test", 1))
    # Each with 1/2; of the 1/8 of samples that would lose all three one keeps each with 1/3.
    for share in survives.float().mean(dim=0):
        assert share.item() == pytest.approx(0.5 + 0.125 / 3, abs=0.035)


@settings(deadline=None, max_examples=20)
@given(rate=st.floats(0, 1), seed=st.integers(0, 1000))
def test_one_survives_and_what_survives_is_whole(rate, seed):
    full = testing.batch(3, 40)
    out, survives = kept(full, rate, Draw("test", seed))
    assert survives.any(dim=1).all()
    for i, m in enumerate(full.observed):
        assert torch.equal(out.observed[m][survives[:, i]], full.observed[m][survives[:, i]])
    if rate == 1:
        assert (survives.sum(dim=1) == 1).all()
    if rate == 0:
        assert all(torch.equal(out.observed[m], o) for m, o in full.observed.items())


def test_a_sample_with_nothing_stays_so():
    full = testing.batch(2, 4)
    empty = full.hide(full.observed)
    _, survives = kept(empty, 0.5, Draw("test", 0))
    assert not survives.any()
