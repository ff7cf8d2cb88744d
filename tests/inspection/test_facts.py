"""Facts, each on a corpus of which the answer is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.corpora.corpus import Split
from mmsa_core.inspection import blocks, leakage
from mmsa_core.inspection.features import features
from mmsa_core.inspection.identity import copies, digests, fingerprint
from mmsa_core.inspection.labels import bins, targets
from mmsa_core.inspection.patterns import patterns, shown
from mmsa_core.inspection.shared import group

NAN, INF = math.nan, math.inf


def test_lengths_gaps_and_padding(by_hand):
    x = [[1.0, 2.0]]
    split = by_hand.split(["a", "b", "c", "d"], text=[x * 3, [None, *x], [*x, None, None, *x, None], None])
    found = features(split, "text")
    assert (found.rows, found.with_it, found.width, found.dtype) == (4, 3, 2, "float32")
    assert (found.lengths.shortest, found.lengths.median, found.lengths.longest) == (1, 3.0, 4)
    assert found.lengths.all == (3, 1, 4)
    assert (found.frames, found.gaps, found.late_starts, found.zero_frames) == (6, 2, 1, 0)
    assert found.constant == (0, 1)
    assert found.deviations == ()


def test_a_modality_that_no_row_has(by_hand):
    split = by_hand.arrays(["a", "b"], text=np.ones((2, 3, 4)), present={"text": [False, False]})
    found = features(split, "text")
    assert (found.with_it, found.frames, found.lengths, found.low, found.high) == (0, 0, None, None, None)
    assert (found.constant, found.deviations, found.nonfinite.count) == ((), (), 0)


def test_values(by_hand):
    split = by_hand.split(
        ["a", "b"], text=[[[0.0, 0.0, 5.0], [1.0, 2.0, 5.0]], [[NAN, -INF, 5.0], [0.0, 0.0, 0.0], [3.0, INF, 5.0]]]
    )
    found = features(split, "text")
    assert (found.nonfinite.nan, found.nonfinite.plus_inf, found.nonfinite.minus_inf) == (1, 1, 1)
    first = found.nonfinite.first
    assert (first.id, first.row, first.frame, first.column, first.value) == ("b", 1, 0, 0, "nan")
    assert found.zero_frames == 1
    assert (found.low, found.high) == (0.0, 5.0)
    assert found.constant == ()
    assert found.deviations[0] == pytest.approx(np.std([0.0, 2.0, 0.0]))
    assert found.deviations[-1] == pytest.approx(np.std([5.0, 5.0, 5.0, 0.0, 5.0]))
    assert found.deviations[2] == pytest.approx(np.std([0.0, 1.0, 0.0, 3.0]))


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 12), block=st.integers(1, 5), seed=st.integers(0, 99))
def test_blocks_change_nothing(by_hand, rows, block, seed):
    draw = np.random.default_rng(seed)
    split = by_hand.arrays(
        map(str, range(rows)),
        text=draw.normal(3e4, 1, (rows, 4, 3)),
        present={"text": draw.random(rows) < 0.8},
    )
    whole, pooled, digest = features(split, "text"), blocks.pooled(split, "text"), digests(by_hand.corpus(train=split))
    before, blocks.ROWS = blocks.ROWS, block
    try:
        again = features(split, "text")
        assert again.lengths == whole.lengths
        assert (again.low, again.high, again.constant) == (whole.low, whole.high, whole.constant)
        assert again.deviations == pytest.approx(whole.deviations, rel=1e-6)
        assert (blocks.pooled(split, "text") == pooled).all()
        assert digests(by_hand.corpus(train=split)) == digest
    finally:
        blocks.ROWS = before
    if whole.frames:
        values, observed = by_hand.padded(split, "text")
        x = values[observed].double().numpy()
        assert whole.deviations[-1] == pytest.approx(x.std(axis=0).max(), rel=1e-4)


def test_pooled(by_hand):
    split = by_hand.split(["a", "b", "c"], text=[[[1.0, 2.0], [3.0, NAN]], None, [None, [5.0, 6.0]]])
    assert blocks.pooled(split, "text").tolist() == [[2, 1], [0, 0], [5, 6]]


def test_patterns(by_hand):
    x = [[1.0]]
    split = by_hand.split("abcde", text=[x, x, None, None, x], audio=[x, None, None, x, x])
    assert patterns(split) == {("text", "audio"): 2, ("text",): 1, ("audio",): 1, (): 1}
    assert list(map(shown, patterns(split))) == ["text + audio", "text", "audio", "nothing"]


def test_targets(by_hand):
    x = np.ones((5, 1, 1))
    every = {
        "score": torch.tensor([-3.0, -0.5, 0.0, 0.2, NAN]),
        "label": torch.tensor([0, 0, 1, 2, 0]),
        "labels": torch.tensor([[0, 1], [1, 1], [0, 0], [0, 1], [0, 1]]),
    }
    corpus = by_hand.corpus(names={"label": ("bad", "so")}, train=by_hand.arrays("abcde", every, text=x))
    found = targets(corpus)
    score = found.scores["train"]
    assert found.edges == (-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5)
    assert score.counts == (1, 0, 0, 3, 0, 0, 0)
    assert (score.lowest, score.highest, score.negative, score.zero, score.positive) == (
        -3.0,
        pytest.approx(0.2),
        2,
        1,
        1,
    )
    assert score.mean == pytest.approx(-3.3 / 4)
    assert score.nonfinite == 1
    assert (found.names, found.classes) == (("bad", "so", "class 2"), {"train": (3, 1, 1)})
    assert (found.label_names, found.positives) == (("label 0", "label 1"), {"train": (1, 4)})


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([-1.0, 0.4, 1.0], (-1.0, -0.7, -0.1, 0.1, 0.7, 1.0)),
        ([-2.0, 3.0], tuple(np.arange(-3.5, 4))),
        ([1.0, 5.0], tuple(np.arange(1, 5.5, 0.5))),
        ([NAN], ()),
    ],
)
def test_bins(values, edges):
    assert bins(np.array(values)) == edges


def test_copies(by_hand):
    a, b = [[1.0]], [[2.0]]
    train = by_hand.split(["v$_$1", "v$_$1", "v$_$2", "v$_$3"], text=[a, b, a, None], audio=[a, a, a, None])
    test = by_hand.split(["w$_$1", "w$_$2"], text=[a, None], audio=[a, None])
    corpus = by_hand.corpus(train=train, test=test)
    found = copies(corpus, digests(corpus))
    assert found.ids == (("v$_$1", (("train", 0), ("train", 1))),)
    assert found.content == ((("train", 0), ("train", 2), ("test", 0)),)


def test_a_fingerprint_is_of_content_alone(by_hand):
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)

    def made(values=x, ids="abc", pad=0, targets=None, name="train", padding=0.0):
        split = by_hand.arrays(ids, targets or by_hand.score(1, 2, 3), text=values)
        whole, observed = by_hand.padded(split, "text")
        longer = torch.cat([whole, torch.full((3, pad, values.shape[2]), padding)], dim=1)
        seen = torch.cat([observed, torch.zeros(3, pad, dtype=torch.bool)], dim=1)
        corpus = by_hand.corpus(**{name: by_hand.changed(split, text=(longer, seen))})
        return fingerprint(corpus, digests(corpus))

    same = made()
    assert len(same) == 64
    assert made(pad=3) == made(pad=2, padding=NAN) == same
    other = x.copy()
    other[2, 3, 1] += 1
    changed = [
        made(other),
        made(ids="abd"),
        made(x[[1, 0, 2]]),
        made(x[:, :3]),
        made(targets=by_hand.score(1, 2, 4)),
        made(targets={"label": torch.tensor([1, 2, 3])}),
        made(name="test"),
    ]
    assert len({same, *changed}) == 8


@pytest.mark.parametrize(
    ("sample", "expected"),
    [("v$_$1", "v"), ("03bSnISJMiM[2]", "03bSnISJMiM"), ("a[b]$_$1", "a[b]"), ("train-3", None), ("$_$1", None)],
)
def test_groups(sample, expected):
    assert group(sample) == expected


def test_leakage(by_hand):
    a, b, c = [[1.0]], [[2.0]], [[3.0]]
    corpus = by_hand.corpus(
        train=by_hand.split(["v$_$1", "w$_$1", "x$_$1"], text=[a, b, c]),
        valid=by_hand.split(["v$_$2", "w$_$1"], text=[c, a]),
        test=by_hand.split(["y$_$1"], text=[[[9.0]]]),
    )
    found = leakage(corpus)
    assert found.grouped
    (pair,) = found.shared
    assert (pair.first, pair.second) == ("train", "valid")
    assert (pair.ids, pair.ids_with_other_content, pair.groups, pair.content) == (("w$_$1",), 1, ("v", "w"), 2)
    assert not found.renumbered, "v is shared without a shared id"
    assert leakage(corpus, digests(corpus)) == found


def test_ids_that_are_counted_anew(by_hand):
    a, b = [[1.0]], [[2.0]]
    ids = ["d0$_$0", "d0$_$1", "d1$_$0"]
    anew = by_hand.corpus(train=by_hand.split(ids, text=[a, a, a]), test=by_hand.split(ids, text=[b, b, b]))
    same = by_hand.corpus(train=by_hand.split(ids, text=[a, a, a]), test=by_hand.split(ids, text=[b, a, b]))
    assert leakage(anew).renumbered
    assert leakage(anew).shared[0].ids_with_other_content == 3
    assert not leakage(same).renumbered


def test_no_leakage_and_no_groups(by_hand):
    corpus = by_hand.corpus(
        train=by_hand.split(["a", "b"], text=[[[1.0]], None]), test=by_hand.split(["c", "d"], text=[[[2.0]], None])
    )
    found = leakage(corpus)
    assert (found.shared, found.grouped, found.renumbered) == ((), False, False)


def test_values_as_large_as_they_get(by_hand):
    most = float(np.finfo(np.float32).max)
    found = features(by_hand.split(["a"], text=[[[most, 1.0], [-most, 1.0]]]), "text")
    assert (found.low, found.high, found.nonfinite.count) == (-most, most, 0)
    assert found.deviations[-1] == pytest.approx(most)


def test_blocks_are_bounded_by_rows_and_by_what_they_are_padded_to(monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", 3)
    monkeypatch.setattr(blocks, "NUMBERS", 8)
    lengths = torch.tensor([1, 1, 1, 1, 9, 1, 0, 4, 2, 1])
    x = torch.arange(9) < lengths.unsqueeze(1)
    split = Split.padded(tuple("abcdefghij"), {"x": x.unsqueeze(2).float()}, {"x": x})
    found = list(blocks.blocks(split, "x"))
    assert [(block.start, *block.features.shape[:2]) for block in found] == [
        (0, 3, 1),
        (3, 1, 1),
        (4, 1, 9),
        (5, 2, 1),
        (7, 2, 4),
        (9, 1, 1),
    ]
    assert sum(block.observed.sum() for block in found) == lengths.sum()


def test_token_ids_have_no_scale():
    ids = torch.tensor([[101.0, 7.0, 102.0], [101.0, 9.0, 102.0]])
    x, seen = torch.stack([ids, torch.ones(2, 3), torch.zeros(2, 3)], dim=2), torch.ones(2, 3, dtype=torch.bool)
    assert features(Split.padded(("a", "b"), {"text": x}, {"text": seen}), "text").deviations == ()
    assert features(Split.padded(("a", "b"), {"text": x + 0.5}, {"text": seen}), "text").deviations
