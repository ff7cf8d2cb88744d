from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import testing
from mmsa_core.maskers.cells import Cells
from mmsa_core.missing import Draw


def kept(full, rate, seed=1):
    out = Cells(Cells.Config(rate=rate))(full, Draw("test", seed))
    for m, seen in out.observed.items():
        assert torch.equal(seen, full.observed[m] & out.present(m).unsqueeze(1)), "a modality stays whole or goes"
    return torch.stack([out.present(m) for m in full.observed], dim=1)


def complete(modalities, samples):
    full = testing.batch(modalities, samples)
    return replace(full, observed={m: torch.ones_like(o) for m, o in full.observed.items()})


def test_by_hand():
    # q = (3 * 0.5 - 1) / 2 = 1/4.
    full, draw = complete(3, 300), Draw("test", 1)
    number = torch.stack([draw.samples(full.key, "cells", m) for m in ("text", "audio", "vision")], dim=1)
    rank = torch.stack([draw.samples(full.key, "survivor", m) for m in ("text", "audio", "vision")], dim=1)
    assert torch.equal(kept(full, 0.5), (number < 0.25) | (rank == rank.amax(dim=1, keepdim=True)))


@pytest.mark.parametrize(("rate", "share"), [(0, 0), (0.3, 0.3), (0.6, 0.6), (2 / 3, 2 / 3), (0.9, 2 / 3)])
def test_the_rate_is_the_share_of_hidden_cells_as_far_as_one_survivor_allows(rate, share):
    found = kept(complete(3, 4000), rate)
    assert 1 - found.float().mean().item() == pytest.approx(share, abs=0.015)
    assert found.float().mean(dim=0).std() < 0.02, "every modality is hit alike"
    if rate >= 2 / 3:
        assert (found.sum(dim=1) == 1).all()


def test_the_share_is_of_what_a_sample_has():
    full = complete(3, 4000)
    full = full.hide({"audio": full.observed["audio"]})
    found = kept(full, 0.4)
    assert not found[:, 1].any()
    assert 1 - found[:, [0, 2]].float().mean().item() == pytest.approx(0.4, abs=0.015)


@settings(deadline=None, max_examples=25)
@given(modalities=st.integers(1, 4), rate=st.floats(0, 1), seed=st.integers(0, 1000))
def test_one_survives(modalities, rate, seed):
    full = testing.batch(modalities, 30)
    found = kept(full, rate, seed)
    present = torch.stack([full.present(m) for m in full.observed], dim=1)
    assert torch.equal(found.any(dim=1), present.any(dim=1))
    more = kept(full, min(1.0, rate + 0.2), seed)
    assert not (more & ~found).any(), "holes grow with the rate"
