"""Metrics of resamples: on every resample the number that `metrics` gives for the samples repeated as drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mmsa_core import metrics
from mmsa_core.statistics import counted

quick = settings(max_examples=25, deadline=None)
sizes = st.integers(1, 12)
grid = st.integers(-8, 8).map(lambda k: k / 2)  # ties and zeros
scores = st.one_of(grid, st.floats(-5, 5, width=32))
seeds = st.integers(0, 2**16)


def column(n, elements, dtype=np.float32):
    return arrays.arrays(dtype, n, elements=elements)


def drawn(n, seed, resamples=6):
    """How often each sample is in each of several resamples; the last one holds a single sample."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples).T.astype(float)
    counts[:, -1] = np.arange(n) == rng.integers(n)
    return counts


def agrees(measures, counts, repeated):
    """Whether every measure of every resample is the metric of the samples repeated."""
    found = {name: measure.resampled(counts) for name, measure in measures.items()}
    for r in range(counts.shape[1]):
        expected = repeated(np.repeat(np.arange(len(counts)), counts[:, r].astype(int)))
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name][r] == pytest.approx(
                np.nan if value is None else value, rel=2e-6, abs=1e-9, nan_ok=True
            ), name


@quick
@given(st.data(), sizes, seeds, st.sampled_from(["mosi", "sims"]), st.sampled_from([0.0, 0.4]))
def test_sentiment(data, n, seed, convention, threshold):
    score, label = (
        data.draw(column(n, scores)),
        data.draw(column(n, st.integers(-9, 9).map(lambda k: np.float32(k / 3)), object)).astype(np.float32),
    )
    measures = metrics.sentiment_measures(score, label, convention, threshold)
    agrees(measures, drawn(n, seed), lambda rows: metrics.sentiment(score[rows], label[rows], convention, threshold))


@quick
@given(st.data(), sizes, seeds, st.integers(2, 4))
def test_classes(data, n, seed, classes):
    probability = data.draw(arrays.arrays(np.float32, (n, classes), elements=grid))
    label = data.draw(column(n, st.integers(0, classes - 1), np.int64))
    measures = metrics.classes_measures(probability, label)
    agrees(measures, drawn(n, seed), lambda rows: metrics.classes(probability[rows], label[rows]))
    if classes == 3:
        measures = metrics.sentiment_classes_measures(probability, label)
        agrees(measures, drawn(n, seed), lambda rows: metrics.sentiment_classes(probability[rows], label[rows]))


@quick
@given(st.data(), sizes, seeds)
def test_binary_labels(data, n, seed):
    logits = data.draw(arrays.arrays(np.float32, (n, 2, 2), elements=grid))
    labels = data.draw(arrays.arrays(np.int64, (n, 2), elements=st.integers(0, 1)))
    measures = metrics.binary_labels_measures(logits, labels, ["happy", "sad"])
    agrees(measures, drawn(n, seed), lambda rows: metrics.binary_labels(logits[rows], labels[rows], ["happy", "sad"]))


def test_by_hand():
    truth, score = np.array([True, True, False, False]), np.array([3.0, 1.0, 1.0, 0.0])
    counts = np.array([[1, 0, 2], [1, 2, 2], [1, 1, 0], [1, 1, 0]], float)
    assert counted.auc(truth, score, counts) == pytest.approx([3.5 / 4, 1.5 / 2, np.nan], nan_ok=True)
    assert counted.accuracy(truth, score > 2, counts) == pytest.approx([3 / 4, 2 / 4, 2 / 4])
    # second resample: truth 1 1 0 0, all called negative: F1 of the negatives 2 * 2 / (2 + 4), of the positives 0
    assert counted.weighted_f1(truth, score > 2, counts)[1] == pytest.approx((2 * 2 / 3 + 2 * 0) / 4)
    assert counted.macro_f1(truth, score > 2, counts)[1] == pytest.approx((2 / 3 + 0) / 2)
    assert counted.mean(score, counts) == pytest.approx([5 / 4, 3 / 4, 8 / 4])


def test_what_is_left_out_leaves_a_resample_that_has_nothing_else_undefined():
    measures = metrics.sentiment_measures(np.array([1.0, -1.0]), np.array([0.0, 2.0]))
    counts = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert measures["f1_non0"].resampled(counts) == pytest.approx([np.nan, 0.0], nan_ok=True)
    assert measures["f1_has0"].resampled(counts) == pytest.approx([1.0, 0.0])


def test_a_diverged_model_has_no_metric_in_any_resample():
    measures = metrics.sentiment_measures(np.array([np.nan, 1.0, -1.0]), np.array([1.0, 1.0, -1.0]))
    assert all(np.isnan(measure.resampled(np.ones((3, 4)))).all() for measure in measures.values())


def test_values_that_hardly_differ_still_correlate():
    a = np.array([5.0, 0.1, np.nextafter(0.1, 1)])
    counts = np.array([[0, 0], [1, 2], [1, 0]], float)
    assert counted.pearson(a, np.array([0.0, 1.0, 2.0]), counts) == pytest.approx([1.0, np.nan], nan_ok=True)
