"""A run trained again: identical, or where it first differs, by how much, and what was otherwise."""

import json
import shutil
from importlib.metadata import version

import pytest
import torch

from mmsa_core.display import Display
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder import checkpoint, provenance
from mmsa_core.run_folder.file_differences import first_difference
from mmsa_core.training import experiment
from mmsa_core.training.deterministic import algorithms
from mmsa_core.training.runner import Trainer
from mmsa_core.training.usage import Meter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    recipe = make.corrkd(seeds=[1, 2], train={"epochs": 2, "batch_size": 8, "lr": 1e-3})
    return experiment.train(recipe, tmp_path_factory.mktemp("whole") / "out", CPU, "test", Display())


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_identical(mmsa, whole):
    done = mmsa("verify", whole, "--jobs", "1")
    assert done.exit_code == 0, done.output
    for seed in (1, 2):
        assert f"seed {seed}: identical (metrics.jsonl, teacher.safetensors, student.safetensors" in done.output
    assert "though" not in done.output


def test_different_says_where_by_how_much_and_why(mmsa, copy):
    folder = copy / "seed-2"
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[5])
    row["loss/task"] += 0.25
    lines[5] = json.dumps(row)
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    tensors, about = checkpoint.read_tensors(folder / "student.safetensors")
    name = list(tensors)[-1]
    tensors[name] = tensors[name] + 0.5
    checkpoint.write_tensors(folder / "student.safetensors", tensors, about)
    edit(folder / "provenance.json", threads=7, data_sha256="other", platform="a\x1b[2Jb")
    done = mmsa("verify", copy, "--seed", "2")
    assert "\x1b" not in done.output
    assert done.exit_code == 1, done.output
    assert "seed 2: different" in done.output
    kind = "epoch" if "best" in row else "step"
    assert (
        f"metrics.jsonl: first at {row['stage']} {kind} {row[kind]} (epoch {row['epoch']}): loss/task is" in done.output
    )
    assert "(by 0.25)" in done.output
    assert f"student.safetensors: 1 of {len(tensors)} tensors, the first is {name}; by at most 0.5" in done.output
    assert "likely reason: data_sha256: other then, " in done.output
    assert "likely reason: threads: 7 then, 1 now" in done.output
    assert "teacher.safetensors:" not in done.output
    assert "seed 1" not in done.output.replace("seed 1 of", "")


def test_what_cannot_be_trained_again(mmsa, copy):
    done = mmsa("verify", copy, "--seed", "9")
    assert done.exit_code == 2
    assert "holds no finished run of that seed; found: 1, 2" in done.output
    done = mmsa("verify", copy, "--set", "train.lr=0.5")
    assert done.exit_code == 2
    assert "makes another experiment" in done.output
    edit(copy / "seed-1" / "provenance.json", importer={"name": "dmd"})
    done = mmsa("verify", copy / "seed-1")
    assert done.exit_code == 2
    assert "imported from a checkpoint" in done.output


def test_a_torn_log_is_a_difference(tmp_path):
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_bytes(b'{"stage": "student", "step": 1}\n{"stage": "stu\xff')
    other.write_text('{"stage": "student", "step": 1}\n{"stage": "student", "step": 2}\n')
    assert first_difference(one, other) == "line 2 of what was written then is torn or was altered"


def test_tables_and_results_by_hand(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("id,value\nx,1.0\ny,2.0\n")
    other.write_text("id,value\nx,1.0\ny,2.5\n")
    assert first_difference(one, other) == "first in row 2 (id y): value is 2.0 then, 2.5 now (by 0.5)"
    other.write_text("id,value\nx,1.0\n")
    assert first_difference(one, other) == "row 2 is missing now"
    assert first_difference(one, tmp_path / "c.csv") == "was not written now"
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    one.write_text('{"conditions": {"test": {"mae": 1.0, "f1": null}}}')
    other.write_text('{"conditions": {"test": {"mae": 1.5, "f1": 0.5}}}')
    assert first_difference(one, other) == "conditions.test.mae is 1.0 then, 1.5 now (by 0.5), and 1 more"
    other.write_text('{"conditions":   {"test": {"mae": 1.0, "f1": null}}}')
    assert first_difference(one, other) == "the same content in other bytes"
    assert first_difference(one, one) is None
    one.write_bytes(b"\xf2{")
    assert "was damaged since" in first_difference(one, other)


def test_deterministic_algorithms_are_taken_and_left(make, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "mmsa_core.training.runner.Trainer.step",
        lambda self, *given, step=Trainer.step: (
            seen.append(torch.are_deterministic_algorithms_enabled()) or step(self, *given)
        ),
    )
    train = {"epochs": 1, "batch_size": 22, "lr": 1e-3}
    experiment.train(make.tiny(train=train, deterministic=True), tmp_path / "out", CPU, "test", Display())
    experiment.train(make.tiny(train=train), tmp_path / "other", CPU, "test", Display())
    assert seen == [True, False]
    same = [(tmp_path / name / "seed-1" / "student.safetensors").read_bytes() for name in ("out", "other")]
    assert same[0] == same[1]
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with algorithms(True):
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_provenance_says_what_a_run_took_and_ran_on(whole):
    about = checkpoint.read_json(whole / "seed-2" / "provenance.json")
    assert {"seconds", "cpu_seconds", "peak_mebibytes", "threads", "cpu", "device", "data_sha256"} <= about.keys()
    assert about["peak_mebibytes"] > 10
    assert about["threads"] == 1
    assert recipe_file.load(whole / "seed-2" / "recipe.yaml").deterministic is False


def test_a_meter_adds_what_earlier_parts_took():
    meter = Meter(CPU, {"seconds": 100.0, "cpu_seconds": 50.0, "peak_mebibytes": 1e6})
    found = meter()
    assert 100 <= found["seconds"] < 160
    assert found["cpu_seconds"] >= 50
    assert found["peak_mebibytes"] == 1e6


def test_versions_where_a_distribution_has_no_metadata(tmp_path, monkeypatch):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert provenance.versions()["torch"] == version("torch")
