"""Calibration by availability: biases computed by hand, what they do to each task, and where a cell has none."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsa_core.calibration.bias import NUDGE, fitted, likeliest, midpoint, share, warmth
from mmsa_core.calibration.calibration import LEAN_ON_ALL, LEAN_ON_SUBSET, apply, fit
from mmsa_core.calibration.evidence import Evidence, buckets
from mmsa_core.calibration.margins import margins, moved
from mmsa_core.evaluation.scores import Answers
from mmsa_core.tasks import BinaryLabels, Bins, Classification, Regression

REGRESSION, BINS = Regression(), Bins(classes=7)
LABELS = BinaryLabels(names=("happy", "sad"))
THREE = Classification(classes=3)


def answers(logits, subset=None, holes=None):
    n = len(logits)
    return Answers(
        torch.as_tensor(logits, dtype=torch.float32).view(n, -1),
        torch.ones(n, dtype=torch.int64) if subset is None else torch.tensor(subset),
        torch.zeros(n) if holes is None else torch.tensor(holes),
    )


def evidence(task, given, target, clip=None):
    clip = torch.arange(len(target)) if clip is None else torch.tensor(clip)
    return Evidence.of(task, given, torch.as_tensor(target), clip)


def test_the_midpoint_by_hand():
    margin, sign = torch.tensor([0.0, 1.0, 2.0, 6.0]), torch.tensor([False, False, True, True])
    assert midpoint(margin, sign) == pytest.approx(-(0.5 + 4.0) / 2)
    assert midpoint(margin, torch.ones(4, dtype=torch.bool)) is None


def test_the_share_by_hand():
    margin = torch.tensor([5.0, 1.0, 3.0, 2.0])
    assert share(margin, torch.tensor([False, False, True, False])) == pytest.approx(-4.0)  # one of four above 4
    assert share(margin, torch.tensor([True, False, True, True])) == pytest.approx(-1.5)
    tied = torch.tensor([1.0, 1.0, 1.0, 2.0])  # nothing divides equal answers
    assert share(tied, torch.tensor([True, True, False, False])) == pytest.approx(-1.5)


@pytest.mark.parametrize(("positive", "side"), [(3, 1), (1, -1)])
@pytest.mark.parametrize("rule", [midpoint, share])
def test_equal_answers_go_to_the_more_frequent_label(rule, positive, side):
    margin, sign = torch.full((4,), 0.7), torch.arange(4) < positive
    assert rule(margin, sign) == pytest.approx(side * NUDGE - 0.7, abs=1e-6)


@given(st.lists(st.floats(-6, 6, width=32), min_size=7, max_size=7), st.floats(-2, 2))
def test_the_tilt_of_bins_is_where_the_score_is_zero(row, more):
    logits = torch.tensor([row], dtype=torch.float64)
    margin = margins(BINS, logits)
    assert BINS.score(moved(BINS, logits, -margin)).item() == pytest.approx(0.0, abs=1e-6)
    calibrated = BINS.score(moved(BINS, logits, -margin + more)).item()
    assert math.copysign(1, calibrated) == math.copysign(1, more) or abs(more) < 1e-6


def test_a_bias_moves_what_it_should_and_nothing_else():
    assert moved(REGRESSION, torch.tensor([[0.5]]), torch.tensor([[-1.0]])).tolist() == [[-0.5]]
    labels = moved(LABELS, torch.tensor([[0.0, 1.0, 2.0, 3.0]]), torch.tensor([[0.5, -2.0]]))
    assert labels.tolist() == [[0.0, 1.5, 2.0, 1.0]]
    assert margins(LABELS, labels).tolist() == [[1.5, -1.0]]
    assert moved(THREE, torch.zeros(1, 3), torch.tensor([[1.0, 0.0, -1.0]])).tolist() == [[1.0, 0.0, -1.0]]


def test_buckets_begin_on_their_edge():
    assert buckets(torch.tensor([0.0, 0.09, 0.1, 0.3, 0.69, 0.7, 1.0])).tolist() == [0, 0, 1, 2, 3, 4, 4]


def test_class_biases_give_the_shares_of_the_labels():
    target = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    bias = torch.tensor(likeliest(evidence(THREE, answers(torch.zeros(100, 3)), target)))
    assert bias.sum().item() == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(bias.softmax(0), torch.tensor([0.6, 0.3, 0.1]), atol=0.01, rtol=0)  # but for the prior


def test_the_temperature_undoes_what_was_sharpened():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator)
    target = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    sharp = evidence(THREE, answers(3 * logits), target)
    assert warmth(sharp) == pytest.approx(3.0, rel=0.1)


def test_cells_lean_on_their_parents_by_hand():
    """Two subsets: in the one scores lie 1 too high, in the other 1 too low; each has two clips in two draws."""
    score, target = [2.0, 0.0, 0.0, -2.0] * 2, [1.0, -1.0, 1.0, -1.0] * 2
    subset, clip = [1, 1, 2, 2] * 2, [0, 1, 2, 3] * 2
    found = fit(evidence(REGRESSION, answers(score, subset), target, clip), "midpoint")
    assert found.whole.values == pytest.approx((0.0,))
    assert (found.whole.clips, found.whole.answers) == (4, 8)
    of_subset = -1.0 * 2 / (2 + LEAN_ON_ALL)
    assert found.cells[1, None].values == pytest.approx((of_subset,))
    own = 2 / (2 + LEAN_ON_SUBSET)
    assert found.cells[1, 0].values == pytest.approx((own * -1.0 + (1 - own) * of_subset,))
    assert found.cells[2, None].values == pytest.approx((-of_subset,))


def test_what_validation_never_showed_is_calibrated_as_its_parent():
    found = fit(evidence(REGRESSION, answers([2.0, 0.0], [1, 1]), [1.0, -1.0]), "midpoint")
    new = answers([0.0, 0.0, 0.0], [1, 1, 3], [0.0, 0.5, 0.0])
    calibrated = apply(found, REGRESSION, new)
    assert calibrated.steps.tolist() == [0, 1, 2]
    biases = [found.cells[1, 0], found.cells[1, None], found.whole]
    torch.testing.assert_close(calibrated.logits[:, 0], torch.tensor([each.values[0] for each in biases]))


def test_one_kind_of_answer_says_nothing():
    parent = fitted(evidence(REGRESSION, answers([2.0, 0.0]), [1.0, -1.0]), "midpoint", None, 0, False)
    child = fitted(evidence(REGRESSION, answers([5.0, 7.0]), [1.0, 2.0]), "midpoint", parent, 20, False)
    assert child.values == parent.values == (-1.0,)


def test_zero_scores_do_not_count_but_in_sims():
    given, target = answers([4.0, 9.0, 2.0, 0.0]), [1.0, 0.0, 1.0, -1.0]
    mosi = fitted(evidence(REGRESSION, given, target), "midpoint", None, 0, False)
    sims = fitted(evidence(Regression(convention="sims"), given, target), "midpoint", None, 0, False)
    assert mosi.values == (-1.5,)
    assert sims.values == (-(3.0 + 4.5) / 2,)


@pytest.mark.parametrize(
    ("task", "width", "rule"),
    [(REGRESSION, 1, "share"), (BINS, 7, "midpoint"), (LABELS, 4, "share"), (THREE, 3, "likelihood")],
)
@pytest.mark.parametrize("temperature", [False, True])
def test_every_task_gives_logits_again(task, width, rule, temperature):
    if temperature and task is REGRESSION:
        pytest.skip("a regression has no temperature")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, width, generator=generator)
    target = {
        1: torch.randn(60, generator=generator),
        7: torch.randn(60, generator=generator),
        4: torch.randint(2, (60, 2), generator=generator),
        3: torch.randint(3, (60,), generator=generator),
    }[width]
    given = answers(logits, [1, 2, 3] * 20, [0.0, 0.2] * 30)
    found = fit(evidence(task, given, target), rule, temperature)
    calibrated = apply(found, task, given)
    assert calibrated.logits.shape == logits.shape
    assert calibrated.logits.dtype == logits.dtype
    assert calibrated.logits.isfinite().all()
    assert not calibrated.steps.any()
    assert apply(found, task, Answers(*(part[:0] for part in given))).logits.shape == (0, width)
