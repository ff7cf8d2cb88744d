import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import missing, testing
from mmsa_core.errors import UserError
from mmsa_core.maskers.late import Late
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


def late(full, **fields):
    return Late(Late.Config(**fields))(full, Draw("test", 0))


def test_by_hand():
    # Frames 1 to 5, of which 2 is a hole, and two of padding, with 2 frames of delay.
    observed = torch.tensor([[True, False, True, True, True, False, False]])
    features = torch.tensor([[[1.0], [9.0], [3.0], [4.0], [5.0], [9.0], [9.0]]])
    full = Batch({"text": features}, {"text": observed}, torch.zeros(1), torch.arange(1), missing.keys(["a"]))
    out = late(full, frames=2)
    assert out.observed["text"].tolist() == [[False, False, True, False, True, False, False]]
    assert out.features["text"][0, [2, 4], 0].tolist() == [1.0, 3.0]


@settings(deadline=None, max_examples=30)
@given(first=st.integers(0, 12), second=st.integers(0, 12))
def test_what_arrives_is_what_happened(first, second):
    full = testing.batch(3, 12)
    out = late(full, frames=first)
    for m, seen in out.observed.items():
        for row, frame in seen.nonzero().tolist():
            assert full.observed[m][row, frame - first]
            assert torch.equal(out.features[m][row, frame], full.features[m][row, frame - first])
    if first == 0:
        assert all(torch.equal(out.observed[m], o) for m, o in full.observed.items())
    later = late(full, frames=first + second)
    for m in full.observed:
        assert (later.observed[m].sum(dim=1) <= out.observed[m].sum(dim=1)).all(), "the later the less arrives"


def test_all_is_lost_where_nothing_arrives_in_time():
    full = testing.batch(2, 6)
    for frames in (9, 1000):
        assert not any(o.any() for o in late(full, frames=frames).observed.values())


def test_only_the_named_modalities_are_late():
    full = testing.batch(3, 6)
    out = late(full, frames=3, modalities=["audio"])
    for m in ("text", "vision"):
        assert out.features[m] is full.features[m]
        assert out.observed[m] is full.observed[m]
    assert not torch.equal(out.observed["audio"], full.observed["audio"])
    with pytest.raises(UserError, match="'late' names 'smell', but the data have text, audio, vision"):
        late(full, frames=1, modalities=["smell"])
