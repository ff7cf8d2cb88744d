from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsa_core import testing
from mmsa_core.maskers.frame_dropout import FrameDropout
from mmsa_core.missing import Draw

DRAW = Draw("test", 1)


def masker(**fields):
    return FrameDropout(FrameDropout.Config(**fields))


def complete(samples=400, frames=20):
    full = testing.batch(2, samples)
    return replace(
        full,
        features={m: torch.zeros(samples, frames, 1) for m in full.features},
        observed={m: torch.ones(samples, frames, dtype=torch.bool) for m in full.observed},
    )


def test_by_hand():
    full = complete(3, 4)
    number = DRAW.frames(full.key, 4, "frame_dropout", "text")
    assert torch.equal(masker(rate=0.5, keep_one=False)(full, DRAW).observed["text"], number >= 0.5)


def test_nothing_everything_and_all_but_one():
    full = testing.batch(3, 50)
    untouched = masker(rate=0)(full, DRAW)
    bare = masker(rate=1, keep_one=False)(full, DRAW)
    one = masker(rate=1)(full, DRAW)
    for m, seen in full.observed.items():
        assert torch.equal(untouched.observed[m], seen)
        assert not bare.observed[m].any()
        assert torch.equal(one.observed[m].sum(dim=1), full.present(m).long())


def test_the_rate_is_the_share_of_hidden_frames():
    seen = masker(rate=0.3, keep_one=False)(complete(), DRAW).observed["text"]
    assert seen.float().mean().item() == pytest.approx(0.7, abs=4 * (0.21 / seen.numel()) ** 0.5)


def test_a_range_gives_each_sample_and_modality_its_own_rate():
    out = masker(rate=(0.2, 0.6), keep_one=False)(complete(1000, 200), DRAW)
    text, audio = (1 - out.observed[m].float().mean(dim=1) for m in ("text", "audio"))
    assert text.mean().item() == pytest.approx(0.4, abs=0.02)
    assert text.min() > 0.05
    assert text.max() < 0.75
    assert text.std().item() == pytest.approx(((0.4**2) / 12 + 0.24 / 200) ** 0.5, rel=0.1)
    assert abs(torch.corrcoef(torch.stack([text, audio]))[0, 1]) < 0.15


def test_shared_or_independent():
    full = complete()
    shared = masker(rate=0.5, shared=True)(full, DRAW).observed
    assert torch.equal(shared["text"], shared["audio"])
    own = masker(rate=0.5)(full, DRAW).observed
    assert (own["text"] == own["audio"]).float().mean().item() == pytest.approx(0.5, abs=0.03)


@settings(deadline=None, max_examples=20)
@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 100), keep_one=st.booleans())
def test_holes_grow_with_the_rate(low, high, seed, keep_one):
    low, high = sorted((low, high))
    full, draw = testing.batch(2, 20), Draw("test", seed)
    many = masker(rate=low, keep_one=keep_one)(full, draw)
    few = masker(rate=high, keep_one=keep_one)(full, draw)
    for m in full.observed:
        assert not (few.observed[m] & ~many.observed[m]).any()
        assert not keep_one or torch.equal(few.present(m), full.present(m))


@pytest.mark.parametrize("rate", [-0.1, 1.1, (0.6, 0.2), (0.1, 1.2)])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValidationError):
        FrameDropout.Config(rate=rate)
