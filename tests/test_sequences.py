"""Sequences without padding: what goes in comes out, and passes over frames see each observed frame once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.corpora import sequences
from mmsa_core.corpora.finite import checked, defects
from mmsa_core.corpora.sequences import Sequences


def tensors(seed, samples, time, channels, blank):
    """Random numbers, of which those that are not observed may be zero, as in most files."""
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, time, channels, generator=source)
    share = torch.rand(samples, 1, generator=source)
    observed = torch.rand(samples, time, generator=source) < share.mul(1.5)
    return x * observed.unsqueeze(2) if blank else x, observed


MADE = st.builds(tensors, st.integers(0, 2**30), st.integers(1, 6), st.integers(1, 7), st.integers(1, 3), st.booleans())


def by_hand():
    """Two frames; nothing; padding at the front and a hole."""
    x = torch.arange(24.0).view(3, 4, 2)
    observed = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1]]).bool()
    return x, observed, Sequences.of(x, observed)


def test_what_it_holds_by_hand():
    x, _, found = by_hand()
    assert found.lengths.tolist() == [2, 0, 4]
    assert found.present().tolist() == [True, False, True]
    assert (len(found), found.channels, found.longest) == (3, 2, 4)
    assert found.values.data_ptr() == x.data_ptr()  # nothing is copied
    assert found.places().tolist() == [0, 1, 9, 11]
    assert Sequences.of(x, torch.ones(3, 4, dtype=torch.bool)).seen is None


@given(MADE, st.integers(0, 9))
@settings(deadline=None)
def test_padded_tensors_come_back(made, length):
    x, observed = made
    found, seen = Sequences.of(x, observed).padded(length)
    time = found.shape[1]
    assert time == max(length, 1, int(torch.where(observed, torch.arange(1, x.shape[1] + 1), 0).max()))
    both = min(time, x.shape[1])
    assert torch.equal(seen[:, :both], observed[:, :both])
    assert not seen[:, both:].any()
    assert torch.equal(found[:, :both], torch.where(observed.unsqueeze(2), x, 0.0)[:, :both])


@given(MADE, st.data())
@settings(deadline=None)
def test_a_batch_is_rows_of_the_padded_tensor(made, data):
    found = Sequences.of(*made)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=8)))
    x, observed = found.batch(rows)
    whole, seen = found.padded()
    time = max(1, int(found.lengths[rows].max()))
    assert x.shape == (len(rows), time, found.channels)
    assert torch.equal(x, whole[rows, :time])
    assert torch.equal(observed, seen[rows, :time])
    longer, also = found.batch(rows, time + 2)
    assert torch.equal(longer[:, :time], x)
    assert not longer[:, time:].any()
    assert not also[:, time:].any()


@given(MADE, st.data())
@settings(deadline=None)
def test_rows_share_the_frames(made, data):
    found = Sequences.of(*made)
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))))
    kept = found.rows(keep)
    assert kept.values is found.values
    if keep.any():
        assert torch.equal(kept.padded(found.longest)[0], found.padded()[0][keep])


@pytest.mark.parametrize("chunk", [1, 5, 2**18])
@given(made=MADE)
@settings(deadline=None, max_examples=30)
def test_statistics_are_those_of_the_observed_frames(chunk, made):
    x, observed = made
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequences, "CHUNK", chunk)
        found = Sequences.of(x, observed).statistics
    frames = x[observed].double()
    assert found.count == len(frames)
    if len(frames):
        torch.testing.assert_close(found.mean, frames.mean(dim=0))
        torch.testing.assert_close(found.deviation, frames.std(dim=0, correction=0))


def test_a_modality_that_nobody_has():
    for nothing in (Sequences.none(2, 3), Sequences.of(torch.ones(2, 4, 3), torch.zeros(2, 4).bool())):
        x, observed = nothing.batch(torch.tensor([1, 0]))
        assert x.tolist() == [[[0.0] * 3]] * 2
        assert not observed.any()
        assert nothing.statistics.count == 0
        assert nothing.longest == 1
    assert not by_hand()[2].missing().present().any()


def test_padding_is_read_from_a_frame_of_zeros_where_there_is_one():
    x, observed, without = by_hand()
    assert without.zero is None
    found = Sequences.of(x * observed.unsqueeze(2), observed)
    assert found.zero == 7  # the last frame of the sample that has none
    assert not found.values[found.zero].any()
    for rows in ([0, 1], [2, 0], [1]):
        for one, other in zip(found.batch(torch.tensor(rows), 5), without.batch(torch.tensor(rows), 5), strict=True):
            assert torch.equal(one, other)


def test_half_floats_are_batched_in_full_ones():
    x, observed, found = by_hand()
    half = Sequences.of(x.half(), observed)
    assert torch.equal(half.batch(torch.tensor([0, 2]))[0], found.batch(torch.tensor([0, 2]))[0])


def test_values_that_are_not_finite_are_found_and_read_as_zero():
    x, observed, _ = by_hand()
    x[1, 0, 0] = float("nan")  # of no observed frame
    unread = checked(Sequences.of(x, observed))
    assert not unread.finite
    assert defects(unread) is None
    x[2, 3, 1], x[2, 1, 0] = float("nan"), float("-inf")
    found = defects(checked(Sequences.of(x, observed)))
    assert (found.values, found.rows, found.row, found.frame, found.column) == (2, 1, 2, 1, 0)
    assert found.value == float("-inf")
    read, _ = Sequences.of(x, observed).batch(torch.arange(3))
    assert read[2].tolist() == [[0.0, 0.0], [0.0, 19.0], [0.0, 0.0], [22.0, 0.0]]
    assert read.isfinite().all()
    assert checked(by_hand()[2]).finite


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("moved", [False, True])
def test_batches_on_cuda(moved):
    device = torch.device("cuda")
    for found in (by_hand()[2], Sequences.none(3, 2)):
        x, observed = (found.to(device) if moved else found).batch(torch.tensor([2, 0, 1]), 5, device)
        on_host = found.batch(torch.tensor([2, 0, 1]), 5)
        assert x.device.type == observed.device.type == "cuda"
        assert torch.equal(x.cpu(), on_host[0])
        assert torch.equal(observed.cpu(), on_host[1])
        assert torch.allclose(found.to(device).statistics.mean.cpu(), found.statistics.mean)
