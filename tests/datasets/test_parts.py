"""From lists of sequences to splits: what is put in is what a padded view, and a batch, give."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsa_core.datasets.parts import Part, joined
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import padded

NUMBER = st.sampled_from([0.0, 1.5, -2.0, math.nan, -math.inf])
FRAME = st.tuples(st.booleans(), NUMBER, NUMBER)
SEQUENCE = st.one_of(st.none(), st.lists(FRAME, max_size=4))
SAMPLES = st.lists(SEQUENCE, min_size=1, max_size=5)


def part(samples, kind=np.float32):
    """Each frame says whether it is real; the numbers of one that is not are there too."""
    values = [None if s is None else np.array([x for _, *x in s], dtype=kind).reshape(-1, 2) for s in samples]
    seen = [None if s is None else np.array([real for real, *_ in s], dtype=bool) for s in samples]
    return Part([f"s{row}" for row in range(len(samples))], {"text": values}, {}, {"text": seen})


def expected(samples):
    """Frames of each sample up to its last real one; None for one that is not real."""
    frames = [[x if real else None for real, *x in sample or []] for sample in samples]
    return [each[: max((n + 1 for n, x in enumerate(each) if x is not None), default=0)] for each in frames]


@given(samples=SAMPLES, kind=st.sampled_from([np.float32, np.float64, np.float16]))
def test_frames_come_back(samples, kind):
    wanted = expected(samples)
    corpus = joined({"train": part(samples, kind)}, ["text"], "made", "x")
    if not any(wanted):  # nor is a width known where no sequence has a frame
        assert all(not split.features or not split.features["text"].present().any() for split in corpus.splits.values())
        return
    split = corpus.splits["train"]
    found = padded(split)
    longest = max(map(len, wanted))
    assert found.features["text"].shape == (len(samples), longest, 2)
    for row, frames in enumerate(wanted):
        rest = [None] * (longest - len(frames))
        assert found.observed["text"][row].tolist() == [x is not None for x in frames + rest]
        clean = np.array([x or [0.0, 0.0] for x in frames + rest], dtype=np.float32)
        assert np.array_equal(found.features["text"][row].numpy(), clean, equal_nan=True)
    assert split.features["text"].lengths.tolist() == list(map(len, wanted))
    x, observed = split.features["text"].batch(torch.arange(len(samples)))
    assert torch.equal(x, found.features["text"].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
    assert torch.equal(observed, found.observed["text"])


def test_by_hand():
    one, two = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    given = Part(
        ["a", "b", "c"], {"text": [one, None, two]}, seen={"text": [None, None, np.array([False, True, False])]}
    )
    found = joined({"train": given}, ["text"], "made", "x")
    text = found.splits["train"].features["text"]
    assert (text.lengths.tolist(), text.starts.tolist()) == ([1, 0, 2], [0, 1, 1])
    assert text.values.tolist() == [[1, 2], [0, 0], [5, 6], [0, 0]]  # a hidden frame and the last hold nothing
    assert text.seen.tolist() == [True, False, True, False]
    assert text.zero == 3
    assert found.notes == ("train: text is missing in 1 of 3 rows",)


def test_what_float32_cannot_hold_is_infinite():
    found = joined({"train": Part(["a"], {"text": [np.array([[1e300, -1e300, 1.0]])]})}, ["text"], "made", "x")
    assert padded(found.splits["train"]).features["text"].tolist() == [[[math.inf, -math.inf, 1.0]]]


def test_a_modality_of_one_split_is_missing_in_the_other():
    parts = {"train": Part(["a"], {"text": [np.ones((2, 3))]}), "test": Part(["b"], {"text": [None]})}
    found = joined(parts, ["text"], "made", "x").splits["test"].features["text"]
    assert (found.channels, found.present().tolist()) == (3, [False])


def test_widths_that_differ_between_splits():
    parts = {"train": Part(["a"], {"text": [np.ones((2, 3))]}), "test": Part(["b"], {"text": [np.ones((1, 4))]})}
    with pytest.raises(
        UserError, match="split 'test': text of sample 'b' has 4 channels, but 3 in sample 'a' of train"
    ):
        joined(parts, ["text"], "made", "x")
