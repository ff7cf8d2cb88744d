import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import missing, testing
from mmsa_core.maskers.block import Block
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


def batch(mask, samples):
    observed = {"text": torch.tensor([mask] * samples)}
    key = missing.keys([str(i) for i in range(samples)])
    features = {"text": torch.zeros(samples, len(mask), 1)}
    return Batch(features, observed, torch.zeros(samples), torch.arange(samples), key)


def hidden(mask, rate, samples=200, **fields):
    full = batch(mask, samples)
    out = Block(Block.Config(rate=rate, **fields))(full, Draw("test", 1))
    return full.observed["text"] & ~out.observed["text"]


def test_every_place_of_the_run_is_drawn():
    found = hidden([False, True, True, True, True, False], 0.5)
    runs = {tuple(row) for row in found.long().tolist()}
    assert runs == {(0, 1, 1, 0, 0, 0), (0, 0, 1, 1, 0, 0), (0, 0, 0, 1, 1, 0)}
    starts = found.float().argmax(dim=1).bincount()[1:]
    assert (starts / 200 - 1 / 3).abs().max() < 0.15


def test_the_span_counts_holes_and_ignores_padding():
    # Span of frames 1 to 4; half of it are 2 frames, of which the hole may be one.
    found = hidden([False, True, False, True, True, False, False], 0.5)
    assert {tuple(row) for row in found.long().tolist()} == {
        (0, 1, 0, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 0),
        (0, 0, 0, 1, 1, 0, 0),
    }


@settings(deadline=None, max_examples=40)
@given(mask=st.lists(st.booleans(), min_size=1, max_size=12), rate=st.floats(0, 1))
def test_one_run_of_the_right_length(mask, rate):
    seen = torch.tensor(mask)
    found = hidden(mask, rate, samples=5)
    if not seen.any():
        assert not found.any()
        return
    where = seen.nonzero()[:, 0]
    span = int(where[-1] - where[0] + 1)
    for row in found:
        assert (seen & ~row).any(), "one frame is kept"
        if row.any():
            run = row.nonzero()[:, 0]
            assert run[-1] - run[0] + 1 <= rate * span + 0.5001
            assert row[run[0] : run[-1] + 1].equal(seen[run[0] : run[-1] + 1]), "nothing inside the run is left"
    if seen.all():
        assert (found.sum(dim=1) - rate * span).abs().max() <= 1


@pytest.mark.parametrize("keep_one", [True, False])
def test_everything_but_one(keep_one):
    assert (hidden([True] * 5, 1.0, keep_one=keep_one).sum(dim=1) == (4 if keep_one else 5)).all()


def test_modalities_are_hit_at_different_places():
    full = testing.batch(2, 300)
    out = Block(Block.Config(rate=0.3))(full, Draw("test", 1))
    first = {m: (full.observed[m] & ~out.observed[m])[:, :7] for m in full.observed}
    assert not torch.equal(first["text"], first["audio"])
