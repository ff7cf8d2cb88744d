"""Intervals, p-values and effect sizes: by hand, properties, and how often nothing is called something."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import metrics
from mmsa_core.statistics.comparison import Interval, hedges, holm, interval, over_seeds, smallest_p
from mmsa_core.statistics.resampling import CHUNK, Resampling, numbered

quick = settings(max_examples=60, deadline=None)
probabilities = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.02]) == [0.5, None, 0.04]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@quick
@given(probabilities)
def test_holm_corrects_upwards_keeps_the_order_and_stays_below_bonferroni(p):
    found = holm(p)
    pairs = sorted((a, b) for a, b in zip(p, found, strict=True) if a is not None)
    assert [a is None for a in p] == [b is None for b in found]
    assert all(a <= b <= min(1, a * len(pairs)) + 1e-12 for a, b in pairs)
    assert [b for _, b in pairs] == sorted(b for _, b in pairs)


def test_interval_by_hand():
    found = interval(np.arange(-1.0, 38.0))  # 39 resamples: 2.5 % of 40 ranks is the first, 97.5 % the last
    assert found == Interval(-1.0, 37.0, p=2 * (1 + 2) / 40, undefined=0)
    assert not found.leaves_zero_out
    assert interval(np.arange(1.0, 40.0)) == Interval(1.0, 39.0, p=2 / 40, undefined=0)
    assert interval(np.zeros(39)).p == 1.0
    assert interval(np.array([np.nan, 1.0, np.nan])) == Interval(1.0, 1.0, p=2 / 2, undefined=2)
    assert interval(np.full(3, np.nan)) == Interval(None, None, None, undefined=3)


@quick
@given(st.lists(st.integers(-3, 40), min_size=39, max_size=400))
def test_a_small_p_means_that_the_interval_leaves_zero_out(values):
    found = interval(np.array(values, float))
    assert found.p >= smallest_p(len(values))
    if found.p < 0.05:
        assert found.leaves_zero_out
    opposite = interval(-np.array(values, float))
    assert (opposite.low, opposite.high, opposite.p) == pytest.approx((-found.high, -found.low, found.p))


def test_hedges_by_hand():
    # differences 1, 2, 3: mean 2, deviation 1; J(2) = Gamma(1) / (sqrt(1) Gamma(1/2)) = 1 / sqrt(pi)
    assert hedges([1, 1, 1], [2, 3, 4], paired=True) == pytest.approx(2 / np.sqrt(np.pi))
    # pooled variance (2 + 2) / 4 = 1, difference 3; J(4) = Gamma(2) / (sqrt(2) Gamma(3/2)) = 1 / (sqrt(2) sqrt(pi) / 2)
    assert hedges([0, 1, 2], [3, 4, 5], paired=False) == pytest.approx(3 * np.sqrt(2 / np.pi))
    assert hedges([0, 1], [1, 3], paired=True) is None
    assert hedges([0, 1, 2], [1, 2, 3], paired=True) is None
    assert hedges([0], [1], paired=False) is None


def test_videos_are_drawn_whole_and_every_run_meets_the_same_samples():
    plan = Resampling(CHUNK + 200, seed=7, unit=numbered(["a", "b", "a", "c", "c", "c"]))
    chunks = list(plan.samples())
    assert [chunk.shape for chunk in chunks] == [(6, CHUNK), (6, 200)]
    counts = np.concatenate(chunks, axis=1)
    assert (counts[0] == counts[2]).all()
    assert (counts[3:] == counts[3]).all()
    assert (counts[0] + counts[1] + counts[3] == 2).all()  # two videos of three
    assert counts[1].mean() == pytest.approx(2 / 3, abs=0.1)
    assert (np.concatenate(list(plan.samples()), axis=1) == counts).all()
    other = Resampling(CHUNK + 200, seed=8, unit=plan.unit)
    assert (np.concatenate(list(other.samples()), axis=1) != counts).any()


def test_runs_of_the_same_seeds_draw_the_same_and_others_independently():
    plan = Resampling(300, seed=7, unit=np.arange(4))
    weights = plan.seeds([1, 2, 3])
    assert weights.shape == (3, 300)
    assert weights.sum(axis=0) == pytest.approx(np.ones(300))
    assert (plan.seeds([1, 2, 3]) == weights).all()
    assert (plan.seeds([1, 2, 4]) != weights).any()
    assert (plan.seeds([1]) == 1).all()
    assert (plan.seeds([-1, 2**63]).sum(axis=0) == 1).all()


def simulated(rng, shift=0.0, seeds=4, videos=12, clips=6):
    """Labels and, for each run and seed, scores: what is hard for both runs, for all seeds of one, and for a seed."""
    video = np.repeat(np.arange(videos), clips)

    def uneven(size):
        """Something that differs between videos and between clips."""
        return size * (rng.normal(size=videos)[video] + rng.normal(size=len(video)))

    label, hard = uneven(1.0), uneven(1.0)

    def run(gain):
        own = uneven(0.5)
        return [(gain + 0.2 * rng.normal()) * label + hard + own + uneven(0.3) for _ in range(seeds)]

    return label, run(1.0), run(1.0 + shift), video


def p_value(rng, name, shift=0.0, resamples=199):
    label, first, second, video = simulated(rng, shift)
    plan = Resampling(resamples, seed=int(rng.integers(2**31)), unit=video)
    weights = plan.seeds(range(len(first)))
    runs = [[metrics.sentiment_measures(score, label)[name] for score in run] for run in (first, second)]
    (counts,) = plan.samples()
    a, b = (over_seeds(run, counts, weights) for run in runs)
    return interval(b - a).p


@pytest.mark.parametrize("name", ["f1_non0", "auc_non0"])
def test_of_comparisons_without_a_difference_about_one_in_twenty_is_significant(name):
    rng = np.random.default_rng(2)
    significant = np.mean([p_value(rng, name) < 0.05 for _ in range(200)])
    assert 0.01 <= significant <= 0.09


def test_a_large_difference_is_found():
    rng = np.random.default_rng(3)
    assert np.mean([p_value(rng, "auc_non0", shift=1.5) < 0.05 for _ in range(40)]) > 0.8


def test_seeds_are_drawn_too():
    """Two runs that differ in one seed of three: samples alone would call it certain."""
    label = np.linspace(-1, 1, 40)
    good, bad = (
        [metrics.sentiment_measures(each, label)["auc_non0"] for each in run]
        for run in ([label, label, label], [label, label, -label])
    )
    plan = Resampling(499, seed=1, unit=np.arange(40))
    (counts,) = plan.samples()
    weights = plan.seeds([1, 2, 3])
    found = interval(over_seeds(good, counts, weights) - over_seeds(bad, counts, weights))
    assert found.low == 0.0  # the seed that differs is not in every resample
    assert found.high == pytest.approx(1.0)
    assert found.p == pytest.approx(2 * (4 / 9), abs=0.15)  # two seeds are drawn
