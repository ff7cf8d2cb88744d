"""Run folders of others, and of one's own after an accident: an answer, a warning, or one message with the file."""

import json
import os
import shutil
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mmsa_core.corpora import data
from mmsa_core.display import Display
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder import checkpoint, sealed
from mmsa_core.testing import mutations
from mmsa_core.training import experiment, saving

CPU = torch.device("cpu")
CHANGED = "was changed after the run was written (another SHA-256)"


@pytest.fixture(scope="module")
def trained(make, tmp_path_factory):
    recipe = make.tiny(seeds=[1, 2], masker=None)
    return experiment.train(recipe, tmp_path_factory.mktemp("runs") / "run", CPU, "mmsa train", Display())


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def evaluate(mmsa, run):
    done = mmsa("evaluate", run, "--protocol", "inter", "--device", "cpu")
    return done.exit_code, " ".join(done.output.split())


def altered_weights(path):
    """Other weights of the right names and shapes, which no shape tells."""
    tensors, about = checkpoint.read_tensors(path)
    checkpoint.write_tensors(path, {name: x + 1 if x.is_floating_point() else x for name, x in tensors.items()}, about)


def test_what_was_written_is_known(run):
    seed = run / "seed-1"
    about = checkpoint.read_json(seed / "provenance.json")
    assert set(about["files"]) == {"recipe.yaml", "student.safetensors", "results.json", "predictions.csv"}
    assert sealed.altered(seed, about) is None
    assert sealed.altered(seed, {}) is None
    (seed / "predictions.csv").unlink()
    assert "predictions.csv is gone" in sealed.altered(seed, about)


def test_other_weights_of_the_same_shapes_are_noticed(run, mmsa):
    code, said = evaluate(mmsa, run)
    assert (code, CHANGED in said) == (0, False)
    altered_weights(run / "seed-2" / "student.safetensors")
    code, said = evaluate(mmsa, run)
    assert code == 0
    assert f"seed-2: student.safetensors {CHANGED}" in said


@pytest.mark.parametrize("name", ["student.safetensors", "recipe.yaml", "results.json"])
def test_a_file_of_another_run_is_noticed(run, mmsa, name):
    shutil.copy(run / "seed-2" / name, run / "seed-1" / name)
    code, said = evaluate(mmsa, run)
    assert code == 2 or CHANGED in said


def test_a_teacher_of_other_weights_is_noticed(run, make, tmp_path, capsys):
    altered_weights(run / "seed-1" / "student.safetensors")
    recipe = make.corrkd(teacher={"run": str(run)}, masker={"name": "modality_dropout", "rate": 0.4})
    experiment.train(recipe, tmp_path / "student", CPU, "mmsa train", Display())
    assert CHANGED in " ".join(capsys.readouterr().out.split())


def test_weights_to_start_from_that_were_altered_are_noticed(run, make, tmp_path, capsys):
    altered_weights(run / "seed-1" / "student.safetensors")
    model = make.tiny().model.model_dump() | {"init": {"run": str(run)}}
    experiment.train(make.tiny(model=model), tmp_path / "tuned", CPU, "mmsa train", Display())
    assert CHANGED in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["test_evaluations.jsonl", "answers", "student.safetensors", "embed", "metrics.jsonl"])
def test_links_that_lead_out_are_refused(run, mmsa, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes").write_text("mine\n")
    target = outside if name in ("answers", "embed") else outside / "notes"
    path = run / "seed-1" / name
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    for command in (["evaluate", run], ["report", run, "--out", tmp_path / "report"], ["calibrate", run]):
        done = mmsa(*command)
        assert done.exit_code == 2
        assert f"{path}: is a link that leads out" in done.output
    assert [each.name for each in outside.iterdir()] == ["notes"]
    assert (outside / "notes").read_text() == "mine\n"


def test_a_seed_that_is_a_link_and_a_pipe(run, mmsa, tmp_path):
    (run / "seed-3").symlink_to(shutil.copytree(run / "seed-1", tmp_path / "other"))
    assert "leads out" in mmsa("evaluate", run).output
    (run / "seed-3").unlink()
    (run / "seed-1" / "calibration.json").unlink(missing_ok=True)
    os.mkfifo(run / "seed-1" / "calibration.json")
    assert "neither a file nor a folder" in mmsa("evaluate", run, "--calibrate").output


def test_sizes_that_lie(run, mmsa):
    path = run / "seed-1" / "student.safetensors"
    tensors = load_file(path)
    for about in (
        {"channels": {"text": 10**12, "audio": 1, "vision": 1}, "lengths": {"text": 1, "audio": 1, "vision": 1}},
        {"channels": {"text": "x", "audio": 1, "vision": 1}, "lengths": {}},
        {"channels": {"text": 3, "audio": 1, "vision": 1}, "lengths": {"text": 1}},
    ):
        save_file(tensors, path, {"mmsa": json.dumps({"format": checkpoint.FORMAT, **about})})
        code, said = evaluate(mmsa, run)
        assert code == 2
        assert f"{path}: " in said
    save_file(tensors, path, {"mmsa": "[" * 100_000})
    assert evaluate(mmsa, run)[0] == 2
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    assert evaluate(mmsa, run)[0] == 2


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
def test_damaged_files(trained, mmsa, tmp_path_factory, drawn):
    run = shutil.copytree(trained, tmp_path_factory.mktemp("copy") / "run")
    path = drawn.draw(st.sampled_from(sorted(p for p in (run / "seed-1").iterdir() if p.is_file())))
    content = path.read_bytes()
    path.write_bytes(mutations.damaged(content, Random(drawn.draw(st.integers(0, 2**32)))))
    code, said = evaluate(mmsa, run)
    assert code in (0, 2), said
    if code == 0 and path.name in sealed.FILES and path.read_bytes() != content:
        assert f"{path.name} {CHANGED}" in said
    if code == 2:
        assert "seed-1" in said


def test_a_state_of_somebody_else_stops_with_one_message(make, tmp_path, mmsa):
    """A digest is no signature: whoever makes a state makes its digest."""
    recipe = make.tiny()
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    folder = tmp_path / "run" / "seed-1"
    (folder / "last").mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe_file.dump(recipe))
    checkpoint.write_json(folder / "provenance.json", {"data_sha256": data.load(recipe).digest})
    for state in ({"network": {}}, {"network": "x", "terms": 1}, {}):
        saving.write(folder / "last" / "student-000001.state", saving.Saved(state, 0))
        done = mmsa("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run", "--resume", "--jobs", 1)
        assert done.exit_code == 2, done.output
        assert "saved state is of another recipe" in done.output
