"""Tasks: bins, losses, categories, scores, and predictors that look at nothing."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Split
from mmsa_core.errors import UserError
from mmsa_core.tasks import IGNORE, BinaryLabels, Bins, Classification, Regression, cross_entropy

SCORES = torch.tensor([-3.0, -2.5, -1.5, -0.5, -0.2, 0.0, 0.5, 0.6, 1.5, 2.4, 3.0])


def split_of(**targets):
    n = len(next(iter(targets.values())))
    return Split(tuple(f"s{i}" for i in range(n)), {}, {k: torch.as_tensor(v) for k, v in targets.items()})


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (7, [0, 1, 1, 3, 3, 3, 3, 4, 5, 5, 6]),  # halves go to the even neighbour
        (5, [0, 0, 0, 2, 2, 2, 2, 3, 4, 4, 4]),
        (3, [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]),
        (2, [0, 0, 0, 0, 0, IGNORE, 1, 1, 1, 1, 1]),
    ],
)
def test_bins_of_mosi_by_hand(classes, expected):
    assert Bins(classes=classes).categories(SCORES)[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("classes", "expected"), [(5, [0, 0, 1, 1, 2, 2, 3, 3, 4]), (3, [0, 0, 0, 0, 1, 1, 2, 2, 2]),
                              (2, [0, 0, 0, 0, 0, 1, 1, 1, 1])]
)  # fmt: skip
def test_bins_of_sims_are_closed_on_the_right(classes, expected):
    scores = torch.tensor([-1.0, -0.7, -0.6, -0.1, 0.0, 0.1, 0.2, 0.7, 0.8])
    task = Bins(classes=classes, convention="sims", range=1.0)
    assert task.categories(scores)[:, 0].tolist() == expected


@pytest.mark.parametrize("convention", ["mosi", "sims"])
@pytest.mark.parametrize("classes", [2, 3, 5, 7])
def test_a_centre_lies_in_its_bin(convention, classes):
    if (convention, classes) == ("sims", 7):
        pytest.skip("SIMS has no 7 bins")
    task = Bins(classes=classes, convention=convention, range=1.0 if convention == "sims" else 3.0)
    assert task.categories(torch.tensor(task.centres))[:, 0].tolist() == list(range(classes))


def test_the_expected_bin_value_is_the_score():
    task = Bins(classes=3, values=(-2.0, 0.0, 2.0))
    logits = torch.tensor([[0.0, 0.0, math.log(2)], [0.0, 40.0, 0.0]])
    torch.testing.assert_close(task.score(logits), torch.tensor([0.5, 0.0]))  # (-2 + 2 * 2) / 4


def test_samples_without_a_category_do_not_count():
    logits = torch.tensor([[0.0, 0.0], [5.0, -5.0]], requires_grad=True)
    value = Bins(classes=2).objective(logits, torch.tensor([2.0, 0.0]))
    assert value.item() == pytest.approx(math.log(2))
    none = cross_entropy(logits, torch.tensor([IGNORE, IGNORE]))
    none.backward()
    assert none.item() == 0
    assert logits.grad.abs().max() == 0


def test_regression_losses_by_hand():
    logits, target = torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0])
    values = {name: Regression(loss=name).objective(logits, target).item() for name in ("l1", "mse", "huber")}
    assert values == {"l1": 2.0, "mse": 5.0, "huber": 1.5}


def test_several_labels_are_groups_of_two():
    task = BinaryLabels(names=("happy", "sad"))
    logits = torch.tensor([[0.0, 0.0, 0.0, math.log(3)]])
    assert task.responses(logits).shape == (1, 2, 2)
    value = task.objective(logits, torch.tensor([[0, 1]]))
    assert value.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert task.prediction(logits)["sad"] == pytest.approx([0.75])


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20), st.sampled_from([2, 3, 5, 7]))
def test_metrics_are_bounded_or_undefined(scores, classes):
    target = torch.tensor(scores)
    task = Bins(classes=classes)
    found = task.metrics(
        torch.randn(len(target), classes), target, task.threshold(torch.randn(len(target), classes), target)
    )
    for name, value in found.items():
        assert value is None or (math.isfinite(value) and (name == "mae" or -1 <= value <= 1)), name


def test_metrics_at_the_threshold_of_validation():
    task = Regression()
    logits, target = torch.tensor([[0.4], [0.5], [0.9], [1.0]]), torch.tensor([-1.0, -2.0, 1.0, 2.0])
    threshold = task.threshold(logits, target)
    assert 0.5 < threshold < 0.9
    found = task.metrics(logits, target, threshold)
    assert found["f1_non0"] < found["f1_non0_tuned"] == 1.0
    assert found["positive_rate"] == 1.0
    assert found["positive_rate_tuned"] == 0.5
    assert found["auc_non0"] == 1.0


def test_references_look_at_no_sample():
    task, train, target = Bins(classes=7), torch.tensor([-2.0, -1.0, 2.0]), torch.tensor([-1.0, -1.0, -1.0, 1.0])
    found = task.references(train, target)
    assert list(found) == ["constant", "all negative", "all positive", "random"]
    assert found["all negative"]["acc2_non0"] == 0.75
    assert found["all positive"]["acc2_non0"] == 0.25
    assert found["constant"]["mae"] == pytest.approx(0.5)  # the training median is -1
    assert found["all positive"]["corr"] is None
    assert found == task.references(train, target)
    labels = Classification(classes=3).references(torch.tensor([0, 2, 2]), torch.tensor([2, 0]))
    assert labels["constant"]["acc"] == 0.5
    several = BinaryLabels(names=("a", "b")).references(torch.tensor([[0, 1], [0, 1]]), torch.tensor([[0, 1], [1, 1]]))
    assert several["constant"]["a_acc"] == 0.5
    assert several["constant"]["b_acc"] == 1.0


@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        (Bins(), {SCORE: [0.0, 3.5]}, r"1 of 2 scores .* beyond \[-3, 3\].* 3.5 of sample 's1' \(row 1\)"),
        (Bins(), {SCORE: [float("nan"), 1.0]}, "the first is nan of sample 's0'"),
        (Bins(), {LABEL: [1, 2]}, "task 'bins' learns from 'score', but the data have label"),
        (Classification(classes=3), {LABEL: [0, 3]}, r"1 of 2 labels are outside 0..2, the first is 3 of sample 's1'"),
        (Classification(classes=3), {LABEL: [-1, 0]}, "the first is -1"),
        (BinaryLabels(names=("a", "b", "c")), {LABELS: [[0, 1]]}, "2 binary labels, but task.names lists 3: a, b, c"),
        (BinaryLabels(names=("a", "b")), {LABELS: [[0, 2]]}, "binary labels other than 0 and 1"),
    ],
)
def test_targets_that_are_refused(task, targets, message):
    with pytest.raises(UserError, match=message):
        task.check(split_of(**targets), "split 'train'")


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Bins, {"classes": 4}, "2, 3, 5 or 7"),
        (Bins, {"classes": 7, "convention": "sims"}, "SIMS has no 7 bins"),
        (Bins, {"classes": 3, "values": (1.0,)}, "3 bins need 3 values, found 1"),
        (Classification, {"classes": 4, "sentiment": True}, "means 3 classes"),
    ],
)
def test_tasks_that_are_refused(kind, fields, message):
    with pytest.raises(ValidationError, match=message):
        kind(**fields)


def test_three_classes_of_sentiment():
    task = Classification(classes=3, sentiment=True)
    logits = torch.tensor([[2.0, 0, 1], [0, 5.0, 1], [0, 0, 3.0]])
    found = task.metrics(logits, torch.tensor([0, 1, 2]))
    assert found["acc"] == found["f1"] == found["acc2_non0"] == 1.0


def test_a_threshold_for_each_label():
    task = BinaryLabels(names=("a", "b"))
    margins = torch.tensor([[1.0, 3.0], [2.0, 3.0], [3.0, 3.0], [4.0, 3.0]])
    logits = torch.stack([torch.zeros(4, 2), margins], dim=2).flatten(1)
    target = torch.tensor([[0, 1], [0, 1], [1, 1], [1, 1]])
    threshold = task.threshold(logits, target)
    assert threshold == [2.5, None]
    found = task.metrics(logits, target, threshold)
    assert found["a_f1"] < found["a_f1_tuned"] == 1.0
    assert found["a_positive_rate"] == 1.0
    assert found["a_positive_rate_tuned"] == 0.5
    assert found["b_f1_tuned"] == found["b_f1"] == 1.0
    assert "f1_mean_tuned" in found


def test_what_a_threshold_moves_has_auc_and_the_positive_rate_beside_it():
    score = Regression()
    assert score.beside("f1_non0") == score.beside("acc2_has0") == ("auc_non0", "positive_rate")
    assert score.beside("f1_non0_tuned") == ("auc_non0", "positive_rate_tuned")
    assert score.beside("auc_non0") == score.beside("mae") == score.beside("positive_rate") == ()
    label = Classification(classes=3, sentiment=True)
    assert (label.beside("f1"), label.beside("f1_macro")) == (("auc",), ("auc",))
    assert label.beside("f1_non0") == ("auc_non0", "positive_rate")
    assert label.beside("auc") == ()
    labels = BinaryLabels(names=("happy", "f1"))
    assert labels.beside("happy_f1_tuned") == ("happy_auc", "happy_positive_rate_tuned")
    assert labels.beside("f1_f1") == ("f1_auc", "f1_positive_rate")
    assert labels.beside("f1_mean") == ("auc_mean",)
    assert labels.beside("happy_auc") == labels.beside("happy_positive_rate_tuned") == ()
