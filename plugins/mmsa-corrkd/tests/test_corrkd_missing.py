from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmsa_corrkd.missing import ModalityRandomMissing
from pydantic import ValidationError

from mmsa_core import missing, testing
from mmsa_core.errors import UserError
from mmsa_core.missing import Draw
from mmsa_core.types import Batch

DRAW = Draw("train", seed=1, epoch=2)


def masker(**fields):
    return ModalityRandomMissing(ModalityRandomMissing.Config(**fields))


def full(samples, modalities=("text", "audio", "vision"), time=8):
    observed = {m: torch.ones(samples, time, dtype=torch.bool) for m in modalities}
    features = {m: torch.zeros(samples, time, 1) for m in modalities}
    key = missing.keys([f"sample {i}" for i in range(samples)])
    return Batch(features, observed, torch.zeros(samples), torch.arange(samples), key)


def test_all_subsets_and_all_rates():
    samples = 7000
    out = masker()(full(samples), DRAW)
    present = torch.stack([out.present(m) for m in out.observed], dim=1)
    share = (present.long() @ torch.tensor([4, 2, 1])).bincount(minlength=8) / samples
    assert share[0] == 0
    torch.testing.assert_close(share[1:], torch.full((7,), 1 / 7), atol=0.02, rtol=0)
    for m, seen in out.observed.items():
        kept = seen[out.present(m)].sum(dim=1)
        assert (kept >= 1).all()
        # Each number of dropped frames is equally likely, since the rate is uniform; all 8 become 7.
        wanted = torch.tensor([0, 2, 1, 1, 1, 1, 1, 1, 1]) / 9
        torch.testing.assert_close(kept.bincount(minlength=9) / len(kept), wanted, atol=0.03, rtol=0)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), modalities=st.integers(1, 4), high=st.floats(0, 1))
def test_what_a_sample_has_is_never_lost_wholly(seed, modalities, high):
    batch = testing.batch(modalities, samples=16, seed=seed)
    batch = batch.hide({"text": (torch.arange(16) == 5).unsqueeze(1).expand_as(batch.observed["text"])})
    had = torch.stack([batch.present(m) for m in batch.observed]).any(dim=0)
    out = masker(rate=(0.0, high))(batch, Draw("train", seed))
    assert torch.equal(torch.stack([out.present(m) for m in out.observed]).any(dim=0), had)


def test_rate_zero_hides_modalities_alone():
    batch = full(50)
    out = masker(rate=0.0)(batch, DRAW)
    for m, seen in out.observed.items():
        assert torch.equal(seen, out.present(m).unsqueeze(1).expand_as(seen))
    alone = masker(rate=1.0)(batch, DRAW)
    for m in batch.observed:
        assert torch.equal(alone.present(m), out.present(m))
        assert (alone.observed[m].sum(dim=1) <= 1).all()


def test_weights():
    out = masker(weights={"text+audio": 1, "vision": 3})(full(4000), DRAW)
    text, audio, vision = (out.present(m) for m in ("text", "audio", "vision"))
    assert torch.equal(text, audio)
    assert torch.equal(text, ~vision)
    assert abs(vision.float().mean() - 0.75) < 0.03


def test_epochs_seeds_and_samples_differ():
    batch = full(20)
    one = masker()(batch, DRAW).observed["text"]
    assert not torch.equal(one, masker()(batch, replace(DRAW, epoch=3)).observed["text"])
    assert not torch.equal(one, masker()(batch, replace(DRAW, seed=2)).observed["text"])
    assert len(one.unique(dim=0)) > 5


@pytest.mark.parametrize("fields", [{"rate": (0.6, 0.5)}, {"rate": 1.5}, {"weights": {"text": 0}}, {"low": 0}])
def test_bad_fields(fields):
    with pytest.raises(ValidationError):
        masker(**fields)


def test_unknown_modality():
    with pytest.raises(UserError, match="video"):
        masker(weights={"video": 1})(full(2), DRAW)


def test_conforms_with_fields():
    testing.check_masker(ModalityRandomMissing, ModalityRandomMissing.Config(rate=(0.2, 0.4)))
