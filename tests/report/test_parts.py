"""The parts of sections that count something, against values counted by hand."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmsa_core.comparison.compare import SAME, Row
from mmsa_core.errors import UserError
from mmsa_core.evaluation.scores import Answers
from mmsa_core.inspection.shared import Leakage, Shared
from mmsa_core.report import log, naming, observed
from mmsa_core.report.classes import views
from mmsa_core.report.log import Log
from mmsa_core.report.sections import calibration, confusion, curves, hygiene, recipes, summary
from mmsa_core.statistics.comparison import Interval
from mmsa_core.tasks import BinaryLabels, Classification, Regression


def test_runs_are_called_by_what_tells_their_paths_apart():
    paths = [Path("/a/x/kd"), Path("/a/y/kd"), Path("/a/z"), Path("/a/w/seed-1")]
    assert naming.names(paths) == ("x/kd", "y/kd", "z", "w/seed-1")
    with pytest.raises(UserError, match="is given twice"):
        naming.names([Path("/a/x"), Path("/a/b/../x")])


def test_fields_that_differ():
    found = recipes.differences({"a": {"x": "1", "y": "2", "z": "3"}, "b": {"x": "1", "y": "5"}})
    assert found == [("y", "2", "5"), ("z", "3", "–")]


def test_series_over_seeds_end_where_the_first_seed_does():
    logs = [Log({"student": {"valid/loss": np.array(values)}}) for values in ([1.0, 2.0, 3.0, 9.0], [3.0, 4.0])]
    found = log.over_seeds(logs, "student", "valid/loss")
    assert found.x.tolist() == [1, 2]
    assert found.y.tolist() == [2, 3]
    assert found.low == pytest.approx([2 - 2**0.5, 3 - 2**0.5])
    ((x, y),) = found.single
    assert (x.tolist(), y.tolist()) == ([2, 3, 4], [2, 3, 9])
    assert log.over_seeds(logs, "teacher", "valid/loss") is None


@pytest.mark.parametrize("torn", [b"{", b"7", b"[1]", b'{"best": true}', b'{"stage": "\xff'])
def test_a_log_that_was_cut_off_is_named(tmp_path, torn):
    (tmp_path / "metrics.jsonl").write_bytes(json.dumps({"stage": "student", "step": 1}).encode() + b"\n" + torn)
    with pytest.raises(UserError, match=r"metrics.jsonl, line 2: expected a JSON object with a stage, found"):
        log.read(tmp_path)


def evaluated(task, logits, target, threshold=None):
    answers = Answers(
        torch.tensor(logits), torch.tensor([3, 1, 0, 3][: len(logits)]), torch.tensor([0.0, 0.3, 0, 0.5][: len(logits)])
    )
    scores = SimpleNamespace(
        answers={"c": answers},
        target=torch.tensor(target),
        threshold=threshold,
        rows={"c": torch.ones(len(logits), dtype=torch.bool)},
    )
    return SimpleNamespace(task=task, scores=(scores,), modalities=("text", "audio"))


def test_confusion_of_a_score_by_hand():
    found = evaluated(Regression(), [[0.6], [-2.5], [0.1], [3.9]], [1.0, -1.0, 0.0, -3.0], threshold=0.5)
    sign, tuned, rounded = views(found, {})
    assert confusion.confusion(found, sign, ["c"])[0].tolist() == [[1, 1], [0, 1]]  # the zero label is left out
    assert confusion.confusion(found, tuned, ["c", "c"])[0].tolist() == [[2, 2], [0, 2]]
    counts = confusion.confusion(found, rounded, ["c"])
    assert {tuple(place) for place in np.argwhere(counts[0])} == {(4, 4), (2, 1), (3, 3), (0, 6)}
    shares = confusion.shares(counts)[0]
    assert shares[0].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert np.isnan(shares[1]).all()  # no sample of -2


def test_confusion_of_classes_and_of_labels():
    found = evaluated(Classification(classes=2), [[0.0, 1.0], [2.0, 1.0]], [1, 1])
    (view,) = views(found, {"label": ("bad", "good")})
    assert view.names == ("bad", "good")
    assert confusion.confusion(found, view, ["c"])[0].tolist() == [[0, 0], [1, 1]]
    labels = evaluated(BinaryLabels(names=("sad", "mad")), [[0.0, 1.0, 1.0, 0.0]], [[0, 0]])
    sad, mad = views(labels, {})
    assert (sad.title, mad.title) == ("sad", "mad")
    assert confusion.confusion(labels, sad, ["c"])[0].tolist() == [[0, 1], [0, 0]]
    assert confusion.confusion(labels, mad, ["c"])[0].tolist() == [[1, 0], [0, 0]]


def test_the_calibration_error_by_hand():
    sure = (np.array([0.55, 0.6, 0.95, 0.95]), np.array([True, False, True, True]))
    mean, share, count = calibration.reliability(sure)
    assert count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]  # 0.6 closes its bin
    assert (mean[5], share[5], mean[9], share[9]) == pytest.approx((0.575, 0.5, 0.95, 1.0))
    assert calibration.error(sure) == pytest.approx((0.075 * 2 + 0.05 * 2) / 4)
    assert calibration.error((np.array([]), np.array([], dtype=bool))) is None


def test_confidence_is_that_of_the_predicted_class():
    found = evaluated(Classification(classes=2), [[0.0, np.log(3.0)], [np.log(4.0), 0.0]], [1, 1])
    confidence, right = calibration.sure(found, 0, ["c"])
    assert confidence == pytest.approx([0.75, 0.8])
    assert right.tolist() == [True, False]


def test_errors_and_what_was_seen():
    found = evaluated(Regression(), [[0.5], [-2.5], [0.0], [4.0]], [1.0, -1.0, 0.0, 3.0])
    (scores,) = found.scores
    assert observed.errors(found, scores, "c").tolist() == [0.5, 1.5, 0.0, 1.0]
    assert observed.groups(found, scores, "c", "subset") == ["text+audio", "text", "nothing", "text+audio"]
    assert observed.groups(found, scores, "c", "holes") == ["no holes", "25 % to 50 %", "nothing", "25 % to 50 %"]
    labels = evaluated(BinaryLabels(names=("sad", "mad")), [[0.0, 1.0, 1.0, 0.0]], [[0, 0]])
    assert observed.errors(labels, labels.scores[0], "c").tolist() == [0.5]


def axis(**at):
    conditions = {name: SimpleNamespace(at=value) for name, value in at.items()}
    return SimpleNamespace(protocol=SimpleNamespace(conditions=conditions))


def test_axes_of_rates():
    assert curves.axes(axis(a=None, b=None)) == {}
    assert curves.axes(axis(**{"0.0": 0.0, "0.1": 0.1})) == {"": ["0.0", "0.1"]}
    grid = {"text 0": 0.0, "text 0.5": 0.5, "text+audio 0": 0.0, "text+audio 0.5": 0.5}
    assert curves.axes(axis(**grid)) == {
        "text": ["text 0", "text 0.5"],
        "text+audio": ["text+audio 0", "text+audio 0.5"],
    }


def leak(*pairs):
    blocks = hygiene.leakage(SimpleNamespace(leakage=Leakage(pairs, grouped=True)))
    return " ".join(getattr(block, "text", None) or " ".join(block.items) for block in blocks)


def test_leakage_is_repeated():
    assert "they share no id and no content; no video" in leak()
    found = leak(Shared("train", "test", ("a$_$1", "a$_$2"), 0, ("a",), 3))
    assert "better than on new ones" in found
    assert "train and test share 2 ids, 1 videos or speakers, the content of 3 samples." in found
    assert "counted anew" in leak(Shared("train", "test", ("a$_$1",), 1, ("a",), 0))


def difference(metric, verdict, value, low, high, effect=False, run="kd"):
    return Row(run, metric, "avg6", "averages", 0.5, 0.6, value, Interval(low, high, 0.1, 0), 0.1, 0.3, verdict, effect)


def compared(*rows):
    metrics = tuple(dict.fromkeys(row.metric for row in rows))
    return SimpleNamespace(baseline="plain", runs=("kd",), metrics=metrics, rows=rows)


TESTED = SimpleNamespace(complete="0.0", protocol=SimpleNamespace(averages={"avg6": None}, conditions={"0.0": None}))


def test_what_cannot_be_told_apart_is_said():
    found = compared(
        difference("f1_non0", SAME, 0.05, 0.01, 0.09, effect=True),
        difference("auc_non0", SAME, 0.0, -0.1, 0.1),
        difference("positive_rate", "higher", 0.3, 0.2, 0.4),
    )
    said = summary.finding(TESTED, found, "avg6")
    assert said == "avg6: no run is distinguishable from plain by any of F1 Non0, AUC Non0."
    (effect,) = summary.threshold_effects(TESTED, found, ["avg6"])
    assert effect.startswith(
        "Threshold effects (kd on avg6 by F1 Non0): the interval of such a difference leaves zero out"
    )


def test_what_can_be_told_apart_is_said_with_its_interval():
    sure, other = difference("mae", "better", -0.084, -0.144, -0.032), difference("f1", SAME, 0.0, -0.1, 0.1)
    assert summary.finding(TESTED, compared(sure), "avg6") == "avg6: kd is better by MAE (−0.084 [−0.144, −0.032])."
    said = summary.finding(TESTED, compared(sure, other), "avg6")
    assert said.endswith("). All other differences, by MAE, F1, are not distinguishable.")
    assert list(summary.threshold_effects(TESTED, compared(sure), ["avg6"])) == []
