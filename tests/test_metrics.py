"""The field's metrics: values by hand, properties, and the tuned threshold against brute force."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mmsa_core import metrics

MOSI = ["mae", "corr", "acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "auc_non0", "acc5", "acc7", "positive_rate"]
SIMS = ["mae", "corr", "acc2", "f1", "acc3", "acc5", "auc_non0", "positive_rate"]
CONVENTIONS = ("mosi", "mosei", "sims")

# values on a grid make ties and zeros, the others nearly none
scores = st.one_of(st.integers(-8, 8).map(lambda k: k / 2), st.floats(-5, 5, width=32))
labels = st.integers(-9, 9).map(lambda k: k / 3)
pairs = st.lists(st.tuples(scores, labels), max_size=25).map(
    lambda rows: (np.array([r[0] for r in rows], np.float32), np.array([r[1] for r in rows], np.float32))
)
quick = settings(max_examples=80, deadline=None)


def f32(*values):
    return np.array(values, np.float32)


def test_mosi_by_hand():
    found = metrics.sentiment(f32(1, -1, 0, 2, -3.5), f32(2, 1, 0, -1, -3))
    assert list(found) == MOSI
    assert found["mae"] == pytest.approx((1 + 2 + 0 + 3 + 0.5) / 5)
    assert found["corr"] == pytest.approx(9.2 / (17.8 * 14.8) ** 0.5)
    assert found["acc2_has0"] == pytest.approx(3 / 5)  # predicted 1 0 1 1 0, truth 1 1 1 0 0
    assert found["f1_has0"] == pytest.approx((3 * 2 / 3 + 2 * 1 / 2) / 5)
    assert found["acc2_non0"] == pytest.approx(2 / 4)  # predicted 1 0 1 0, truth 1 1 0 0
    assert found["f1_non0"] == pytest.approx(0.5)
    assert found["auc_non0"] == pytest.approx(2 / 4)  # 1 > -3.5 and -1 > -3.5, of four pairs
    assert found["acc7"] == found["acc5"] == pytest.approx(2 / 5)  # 0, and -3.5 that clips to the label's bin
    assert found["positive_rate"] == pytest.approx(2 / 4)


def test_rounding_is_half_to_even():
    found = metrics.sentiment(f32(0.5, 1.5, 2.5, -0.5), f32(0, 2, 2, 0))
    assert found["acc7"] == found["acc5"] == 1.0


def test_zero_counts_as_positive_in_has0_and_as_negative_in_non0():
    found = metrics.sentiment(f32(0, 0), f32(1, 0))
    assert (found["acc2_has0"], found["acc2_non0"]) == (1.0, 0.0)


def test_sims_by_hand():
    found = metrics.sentiment(f32(0.1, 0.11, -0.1, 3, -0.7), f32(0, 0.1, -0.4, 1, -1), "sims")
    assert list(found) == SIMS
    assert found["mae"] == pytest.approx((0.1 + 0.01 + 0.3 + 0 + 0.3) / 5, rel=1e-5)
    assert found["acc2"] == pytest.approx(4 / 5)  # 0.1 is positive, 0 is not
    assert found["acc3"] == pytest.approx(4 / 5)  # 0.1 is neutral and -0.1 negative, on the edge as they are
    assert found["acc5"] == pytest.approx(4 / 5)
    assert found["positive_rate"] == pytest.approx(3 / 5)


def test_sims_compares_in_float32():
    edge = np.array([0.1, -0.1, 0.7, -0.7])
    assert metrics.sentiment(edge, edge.astype(np.float32), "sims")["acc5"] == 1.0
    assert metrics.sentiment(edge.astype(np.float32), edge, "sims")["acc5"] == 1.0


@pytest.mark.parametrize(("convention", "moved"), [("mosi", "f1_non0"), ("sims", "f1")])
def test_threshold_moves_only_the_metrics_named(convention, moved):
    score, label = f32(0.2, 0.4, 0.6, 0.8), f32(-0.5, -0.2, 0.3, 0.9)
    plain = metrics.sentiment(score, label, convention)
    tuned = metrics.sentiment(score, label, convention, 0.5)
    assert plain[moved] < tuned[moved] == 1.0
    assert {name for name in plain if plain[name] != tuned[name]} <= metrics.THRESHOLDED


def test_all_zero_labels_leave_non0_undefined():
    found = metrics.sentiment(f32(-1, 0, 1), f32(0, 0, 0))
    assert {name for name, value in found.items() if value is None} == {
        *("corr", "acc2_non0", "f1_non0", "auc_non0", "positive_rate")
    }
    assert found["acc2_has0"] == pytest.approx(2 / 3)


def test_constant_score():
    found = metrics.sentiment(f32(0.1, 0.1, 0.1), f32(-1, 1, 2))
    assert found["corr"] is None
    assert found["auc_non0"] == 0.5
    assert found["positive_rate"] == 1.0


def test_one_sample():
    found = metrics.sentiment(f32(1), f32(2))
    assert found["mae"] == 1.0
    assert found["corr"] is None
    assert found["auc_non0"] is None
    assert found["f1_non0"] == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
def test_a_diverged_model_has_no_metrics(bad):
    score, label = f32(1, bad, -1), f32(1, 1, -1)
    for convention in CONVENTIONS:
        assert set(metrics.sentiment(score, label, convention).values()) == {None}
        assert metrics.best_threshold(score, label, convention) is None
    wide = np.stack([score, -score, score], axis=1)
    label = np.array([0, 1, 2])
    assert set(metrics.classes(wide, label).values()) == {None}
    assert set(metrics.sentiment_classes(wide, label).values()) == {None}
    assert set(metrics.binary_labels(wide[:, None, :2], np.array([[0], [1], [0]]), ["sad"]).values()) == {None}


def test_empty():
    none = np.zeros(0, np.float32)
    for convention, keys in (("mosi", MOSI), ("mosei", MOSI), ("sims", SIMS)):
        assert metrics.sentiment(none, none, convention) == dict.fromkeys(keys)
        assert metrics.best_threshold(none, none, convention) is None
    label = np.zeros(0, np.int64)
    assert metrics.classes(np.zeros((0, 4)), label) == dict.fromkeys(["acc", "f1", "f1_macro", "auc"])
    assert set(metrics.sentiment_classes(np.zeros((0, 3)), label).values()) == {None}
    assert set(metrics.binary_labels(np.zeros((0, 2, 2)), np.zeros((0, 2), int), ["a", "b"]).values()) == {None}


def test_correlation_of_tiny_and_huge_values():
    x = np.array([1.0, 2.0, 4.0])
    for scale in (1e-300, 1e-30, 1.0, 1e14):
        assert metrics.pearson(x * scale, -x) == pytest.approx(-1.0)
    assert metrics.pearson(np.array([0.1, 0.1, 0.1, np.nextafter(0.1, 1)]), np.arange(4.0)) == pytest.approx(
        1.5 / 3.75**0.5
    )


@quick
@given(pairs, st.sampled_from(CONVENTIONS), st.floats(-3, 3, width=32))
def test_sentiment_stays_in_bounds(pair, convention, threshold):
    found = metrics.sentiment(*pair, convention, threshold)
    assert list(found) == (SIMS if convention == "sims" else MOSI)
    for name, value in found.items():
        assert value is None or type(value) is float, name
        low, high = {"mae": (0, 8), "corr": (-1, 1)}.get(name, (0, 1))
        assert value is None or low <= value <= high, name


@quick
@given(pairs, st.sampled_from(CONVENTIONS), st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(pair, convention, random):
    score, label = pair
    order = list(range(len(score)))
    random.shuffle(order)
    found, shuffled = (metrics.sentiment(*p, convention) for p in ((score, label), (score[order], label[order])))
    for name, value in found.items():
        assert shuffled[name] == (value if value is None else pytest.approx(value, rel=1e-5, abs=1e-6)), name
    assert metrics.best_threshold(score[order], label[order], convention) == metrics.best_threshold(*pair, convention)


def brute_force(score, label, convention):
    """Every candidate in turn, with scikit-learn."""
    if convention != "sims":
        score, label = score[label != 0], label[label != 0]
    values = sorted({float(value) for value in score})
    truth = label > 0
    if len(set(truth.tolist())) < 2:
        return None
    inner = [(a + b) / 2 for a, b in pairwise(values)]
    found = [(f1_score(truth, score > t, average="weighted"), t) for t in (values[0] - 1, *inner, values[-1] + 1)]
    top = max(f1 for f1, _ in found)
    return min((t for f1, t in found if f1 >= top - 1e-12), key=abs)


@quick
@given(pairs, st.sampled_from(CONVENTIONS))
def test_best_threshold_is_brute_force(pair, convention):
    score, label = (values.astype(np.float64) for values in pair)
    assert metrics.best_threshold(score, label, convention) == brute_force(score, label, convention)


@quick
@given(pairs, st.sampled_from(CONVENTIONS))
def test_best_threshold_is_not_worse_than_zero(pair, convention):
    best = metrics.best_threshold(*pair, convention)
    if best is not None:
        name = "f1" if convention == "sims" else "f1_non0"
        plain = metrics.sentiment(*pair, convention)[name]
        assert metrics.sentiment(*pair, convention, best)[name] >= plain - 1e-12


def test_best_threshold_between_neighbouring_floats():
    for dtype in (np.float32, np.float64):
        low = dtype(0.3)
        score, label = np.array([low, np.nextafter(low, dtype(1))]), f32(-1, 1)
        assert metrics.sentiment(score, label, threshold=metrics.best_threshold(score, label))["f1_non0"] == 1.0


def test_best_threshold_prefers_the_one_nearest_zero():
    assert metrics.best_threshold(f32(-3, -1, 4), f32(-1, 0, 1)) == 0.5
    assert metrics.best_threshold(f32(2, 2), f32(-1, 1)) in (1.0, 3.0)
    assert metrics.best_threshold(f32(2, 2, 2), f32(-1, -1, 1)) == 3.0


def test_classes_by_hand():
    probability = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    found = metrics.classes(probability, np.array([0, 1, 1, 2]))
    assert list(found) == ["acc", "f1", "f1_macro", "auc"]
    assert found["acc"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx((2 / 3 + 2 * 2 / 3 + 1) / 4)
    assert found["f1_macro"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["auc"] == pytest.approx(1.0)


def test_auc_of_classes():
    two = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    assert metrics.classes(two, np.array([0, 1, 0]))["auc"] == pytest.approx(0.5)
    assert metrics.classes(two, np.array([1, 1, 1]))["auc"] is None
    absent = np.array([[0.6, 0.3, 0.1], [0.3, 0.1, 0.6], [0.5, 0.1, 0.4]])  # class 1 does not occur
    assert metrics.classes(absent, np.array([0, 2, 0]))["auc"] == pytest.approx(1.0)


def test_sentiment_classes_by_hand():
    negative, neutral, neutral_up, positive = [2, 0, 1], [1, 9, 0], [0, 9, 1], [0, 0, 3]
    score = np.array([negative, neutral, neutral_up, positive], np.float32)  # predicted 0 0 1 1
    found = metrics.sentiment_classes(score, np.array([0, 1, 1, 2]))
    assert found["acc2_has0"] == pytest.approx(3 / 4)
    assert found["acc2_non0_published"] == pytest.approx(1 / 2)  # a positive is never right
    assert found["acc2_non0"] == found["f1_non0"] == 1.0
    assert found["positive_rate"] == pytest.approx(1 / 2)
    neutral_only = metrics.sentiment_classes(score, np.array([1, 1, 1, 1]))
    assert {name for name, value in neutral_only.items() if value is not None} == {"acc2_has0", "f1_has0"}


def test_binary_labels_by_hand():
    logits = np.array([[[0, 1], [1, 0]], [[0, 2], [1, 0]], [[3, 0], [0, 1]]], np.float32)
    found = metrics.binary_labels(logits, np.array([[1, 0], [0, 0], [0, 0]]), ["happy", "sad"])
    keys = [f"{name}_{kind}" for name in ("happy", "sad") for kind in ("acc", "f1", "auc", "positive_rate")]
    assert list(found) == [*keys, "acc_mean", "f1_mean", "auc_mean"]
    assert found["happy_acc"] == found["sad_acc"] == found["acc_mean"] == pytest.approx(2 / 3)
    assert found["happy_f1"] == pytest.approx(2 / 3)
    assert found["sad_f1"] == pytest.approx(0.8)
    assert found["happy_auc"] == found["auc_mean"] == pytest.approx(0.5)
    assert found["sad_auc"] is None
    assert found["happy_positive_rate"] == pytest.approx(2 / 3)


@quick
@given(st.integers(0, 12), st.integers(2, 5), st.integers(0, 999), st.booleans())
def test_class_metrics_stay_in_bounds(n, k, seed, ties):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-1, 2, (n, k)) if ties else rng.normal(size=(n, k))
    label = rng.integers(0, k, n)
    pair = np.stack([logits, logits[:, ::-1]], axis=2)
    names = [f"label{i}" for i in range(k)]
    found = metrics.classes(logits, label) | metrics.binary_labels(pair, rng.integers(0, 2, (n, k)), names)
    if k == 3:
        found |= metrics.sentiment_classes(logits, label)
    assert all(value is None or (type(value) is float and 0 <= value <= 1) for value in found.values())


def test_weighted_f1_takes_the_truth_first():
    truth, predicted = np.array([1, 1, 1, 0]), np.array([1, 0, 0, 0])
    assert metrics.weighted_f1(truth, predicted) == pytest.approx((3 * 0.5 + 0.5) / 4)
    assert metrics.weighted_f1(truth, truth * 0) == pytest.approx(0.4 / 4)
    assert metrics.weighted_f1(truth * 0, truth) == pytest.approx(0.4)
