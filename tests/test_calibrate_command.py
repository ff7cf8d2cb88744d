"""`mmsa calibrate`, and what evaluate and predict add with --calibrate."""

import csv
import io
import json
import shutil

import pytest
import torch

from mmsa_core.calibration import calibrating
from mmsa_core.corpora import data
from mmsa_core.corpora.making import corpus
from mmsa_core.display import Display
from mmsa_core.evaluation import protocol_file
from mmsa_core.run_folder import checkpoint
from mmsa_core.tasks import Bins
from mmsa_core.training import experiment
from mmsa_core.writers import write

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from tests.conftest import tiny

    return experiment.train(tiny(seeds=[1, 2]), tmp_path_factory.mktemp("trained") / "out", CPU, "test", Display())


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_the_file_is_the_same_to_the_byte_and_readable(mmsa, run):
    result = mmsa("calibrate", run, "--draws", 1)
    assert result.exit_code == 0, result.output
    assert "left out of the fit: 2 seeds" in result.output
    path = run / "seed-1" / "calibration.json"
    first = path.read_bytes()
    assert mmsa("calibrate", run, "--draws", 1).exit_code == 0
    assert path.read_bytes() == first
    found = json.loads(first)
    assert found["fitted_on"]["split"] == "valid"
    assert found["cells"][0] == found["cells"][0] | {"seen": None, "missing": None, "clips": 9, "answers": 9 * 77}
    of_text = [cell for cell in found["cells"] if cell["seen"] == ["text"] and cell["missing"] is None]
    assert len(of_text) == 1
    assert list(of_text[0]["bias"]) == ["score"]
    assert found["rule"] == max(("midpoint", "share"), key=lambda rule: found["f1_on_clips_left_out"][rule])


def test_another_calibration_is_not_overwritten(mmsa, run):
    mmsa("calibrate", run / "seed-1", "--draws", 1)
    before = (run / "seed-1" / "calibration.json").read_bytes()
    result = mmsa("calibrate", run / "seed-1", "--draws", 2)
    assert result.exit_code == 2
    assert "nothing is overwritten" in result.output
    assert (run / "seed-1" / "calibration.json").read_bytes() == before


def test_the_test_split_is_never_looked_at(mmsa, run, monkeypatch):
    asked = []
    ask = calibrating.ask
    monkeypatch.setattr(calibrating, "ask", lambda each, split, *rest: asked.append(split) or ask(each, split, *rest))
    mmsa("calibrate", run / "seed-1", "--draws", 1)
    (split,) = asked
    assert all(name.startswith("synthetic-valid-") for name in split.ids)


def test_evaluate_adds_calibrated_metrics_and_changes_no_other(mmsa, run):
    mmsa("calibrate", run, "--draws", 1)
    plain, both = run.parent / "plain.json", run.parent / "both.json"
    assert mmsa("evaluate", run, "--protocol", "inter", "--json", plain).exit_code == 0
    result = mmsa("evaluate", run, "--protocol", "inter", "--calibrate", "--json", both)
    assert result.exit_code == 0, result.output
    assert (run / "evaluate-corrkd-inter-calibrated.csv").is_file()
    one, other = (json.loads(path.read_text())["conditions"] for path in (plain, both))
    for condition, values in one.items():
        added = {name for name in other[condition] if name.endswith("_calibrated")}
        assert {f"{name}_calibrated" for name in values if not name.endswith("_tuned")} == added
        assert {name: value for name, value in other[condition].items() if name not in added} == values
    averages = json.loads(both.read_text())["averages"]["avg6"]
    by_hand = [other[c]["f1_non0_calibrated"]["values"][0] for c in list(other)[:-1]]
    assert averages["f1_non0_calibrated"]["values"][0] == pytest.approx(sum(by_hand) / 6)


def test_predict_adds_a_column(mmsa, make, tmp_path):
    write(corpus("tiny", 0, ()), "mmsa-pickle", tmp_path / "clips.pkl")
    recipe = make.tiny(data={"name": "mmsa-pickle", "path": tmp_path / "clips.pkl"})
    folder = experiment.train(recipe, tmp_path / "clips", CPU, "test", Display()) / "seed-1"
    assert mmsa("calibrate", folder, "--draws", 1).exit_code == 0
    answers = [
        mmsa("predict", folder, tmp_path / "clips.pkl", "--split", "test", *more) for more in ((), ("--calibrate",))
    ]
    assert [result.exit_code for result in answers] == [0, 0]
    before, after = (list(csv.DictReader(io.StringIO(result.stdout))) for result in answers)
    assert len(before) == len(after) == 24
    assert [{k: v for k, v in row.items() if k != "prediction_calibrated"} for row in after] == before
    cells = json.loads((folder / "calibration.json").read_text())["cells"]
    (bias,) = [
        c["bias"]["score"] for c in cells if c["seen"] == ["text", "audio", "vision"] and c["missing"] == [0, 0.1]
    ]
    moved = [float(row["prediction_calibrated"]) - float(row["prediction"]) for row in after]
    assert all(move * bias > 0 for move in moved)

    path = folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cells": cells[:1]}))  # knows all samples together alone
    result = mmsa("predict", folder, tmp_path / "clips.pkl", "--split", "test", "--calibrate")
    assert "24 of 24 samples show what validation never showed" in result.stderr
    result = mmsa("evaluate", folder, "--protocol", "inter", "--calibrate")
    assert "100.0 % of a seed's answers are of a cell that validation never showed" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: None, "mmsa calibrate"),
        (lambda file: file | {"rule": "guess"}, "calibration.json: rule"),
        (lambda file: file | {"modalities": ["text"]}, "does not fit the run"),
        (lambda file: file | {"fitted_on": file["fitted_on"] | {"student_sha256": "0"}}, "other weights"),
        (lambda file: file | {"cells": [c | {"bias": {"happy": 1.0}} for c in file["cells"]]}, "not for score"),
    ],
)
def test_what_does_not_fit_is_said(mmsa, run, damage, said):
    folder = run / "seed-1"
    mmsa("calibrate", folder, "--draws", 1)
    path = folder / "calibration.json"
    changed = damage(json.loads(path.read_text()))
    path.unlink()
    if changed is not None:
        path.write_text(json.dumps(changed))
    result = mmsa("evaluate", folder, "--protocol", "inter", "--calibrate")
    assert result.exit_code == 2
    assert said in result.output.replace("\n", " ")


def test_a_regression_has_no_temperature(mmsa, make, tmp_path):
    recipe = make.tiny(task={"kind": "regression"}, train={"epochs": 1, "batch_size": 8})
    folder = experiment.train(recipe, tmp_path / "regression", CPU, "test", Display())
    result = mmsa("calibrate", folder, "--temperature")
    assert result.exit_code == 2
    assert "no probabilities" in result.output


def test_every_clip_is_calibrated_by_others(trained):
    """A clip's calibrated answer does not depend on its own target."""
    loaded = checkpoint.load(trained / "seed-1")
    valid = data.load(loaded.recipe).splits["valid"]
    asked = [
        {name: each for name, each in by_condition.items() if name.endswith(" 0")}
        for by_condition in calibrating.ask(loaded, valid, 1, CPU)
    ]
    assert set(asked[0]) < set(protocol_file.get("grid", tuple(loaded.channels)).conditions)
    task, fold = Bins(classes=7), calibrating.folds(valid)
    target = task.target(valid)
    other = torch.where(fold == fold[0], -target, target)
    seen = []
    for each in (target, other):
        evidence = calibrating.pooled(task, asked, each)
        kept = evidence.rows(fold[evidence.clip] != fold[0])
        seen.append(calibrating.fit(kept, "midpoint"))
    assert seen[0] == seen[1]
