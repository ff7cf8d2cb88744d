"""A training that was stopped or killed ends with the bytes of one that never was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmsa_core.display import Display
from mmsa_core.errors import Interrupted
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Save
from mmsa_core.training import experiment, saving
from mmsa_core.training.runner import Trainer
from mmsa_core.training.saving import Saved, Saver

CPU = torch.device("cpu")
SAME = ("student.safetensors", "teacher.safetensors", "distillers.safetensors", "metrics.jsonl", "predictions.csv")
SAME += ("results.json", "recipe.yaml")


def recipe_of(make, **changes):
    """Two stages, terms with parameters of their own, accumulated gradients, an average, a plateau."""
    train = {"epochs": 3, "batch_size": 4, "lr": 1e-3, "accumulate": 2, "schedule": "plateau", "average": "ema"}
    return make.corrkd(**({"train": train, "save": {"steps": 1}} | changes))


def train(recipe, out, **options):
    return experiment.train(recipe, out, CPU, "test", Display(), **options)


def content(folder):
    return {name: (folder / name).read_bytes() for name in SAME}


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    return content(train(recipe_of(make), tmp_path_factory.mktemp("whole") / "out") / "seed-1")


class Killed(BaseException):
    """As SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("stage", ["teacher", "student"])
@pytest.mark.parametrize("at", [1, 2, 6, 7, 17])
def test_killed_behind_any_step(make, tmp_path, monkeypatch, whole, stage, at):
    step, ran = Trainer.step, []

    def until(self, *given):
        if self.stage == stage:
            ran.append(stage)
            if len(ran) > at:
                raise Killed
        step(self, *given)

    monkeypatch.setattr(Trainer, "step", until)
    out = tmp_path / "out"
    with pytest.raises(Killed):
        train(recipe_of(make), out)
    monkeypatch.setattr(Trainer, "step", step)
    train(recipe_of(make), out, resumed=True)
    assert content(out / "seed-1") == whole
    assert not (out / "seed-1" / saving.FOLDER).exists()


@pytest.mark.parametrize("lost", ["write_predictions", "_evaluate"])
def test_killed_while_evaluating(make, tmp_path, monkeypatch, whole, lost):
    from mmsa_core.training import seed_run

    def killed(*_):
        raise Killed

    whole_one = getattr(seed_run, lost)
    monkeypatch.setattr(seed_run, lost, killed)
    with pytest.raises(Killed):
        train(recipe_of(make), tmp_path / "out")
    monkeypatch.setattr(seed_run, lost, whole_one)
    monkeypatch.setattr(Trainer, "step", killed)  # nothing is trained again
    train(recipe_of(make), tmp_path / "out", resumed=True)
    assert content(tmp_path / "out" / "seed-1") == whole


@pytest.mark.parametrize("written", ["predictions.csv", "student.safetensors", "provenance.json", "results.json"])
@pytest.mark.parametrize("behind", [False, True], ids=["during", "behind"])
def test_a_kill_leaves_nothing_behind(make, tmp_path, monkeypatch, whole, written, behind):
    """A kill while a file is written or right behind it: no half of it, and no state of a seed that is finished."""
    from mmsa_core.run_folder import checkpoint

    replace, unlink, times = os.replace, Path.unlink, []

    def killed(source, target):
        if Path(target).name != written or times or (written == "provenance.json" and "predictions.csv" not in seen()):
            return replace(source, target)
        times.append(1)
        if behind:
            replace(source, target)
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # a kill lets no block end
        raise Killed

    def seen():
        return {path.name for path in (tmp_path / "out" / "seed-1").iterdir()}

    monkeypatch.setattr(checkpoint.os, "replace", killed)
    with pytest.raises(Killed):
        train(recipe_of(make), tmp_path / "out")
    monkeypatch.setattr(Path, "unlink", unlink)
    (tmp_path / "out" / "seed-1" / ".notes.md.markdown").write_text("a user's")
    train(recipe_of(make), tmp_path / "out", resumed=True)
    assert content(tmp_path / "out" / "seed-1") == whole
    assert "seconds" in (tmp_path / "out" / "seed-1" / "provenance.json").read_text()
    hidden = [path.name for path in tmp_path.rglob("*") if path.name.startswith(".") or path.name == saving.FOLDER]
    assert hidden == [".notes.md.markdown"]


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:60] + b"x" + content[61:]])
def test_a_damaged_state_is_noticed_and_the_one_before_is_used(make, tmp_path, monkeypatch, whole, damage, capsys):
    step, ran = Trainer.step, []

    def until(self, *given):
        ran.append(self.stage)
        if ran.count("student") > 9:
            raise Killed
        step(self, *given)

    monkeypatch.setattr(Trainer, "step", until)
    out = tmp_path / "out"
    with pytest.raises(Killed):
        train(recipe_of(make), out)
    monkeypatch.setattr(Trainer, "step", step)
    *_, newest = saving.files(out / "seed-1", "student")
    newest.write_bytes(damage(newest.read_bytes()))
    train(recipe_of(make), out, resumed=True)
    assert f"{newest.name} is torn or was altered and is not used" in capsys.readouterr().out.replace("\n", "")
    assert content(out / "seed-1") == whole


def test_killed_before_the_first_file_was_written(make, tmp_path, whole):
    (tmp_path / "out" / "seed-1").mkdir(parents=True)
    train(recipe_of(make), tmp_path / "out", resumed=True)
    assert content(tmp_path / "out" / "seed-1") == whole


def test_a_log_that_was_cut_is_said_and_not_filled_up(make, tmp_path, monkeypatch, capsys):
    step = Trainer.step

    def until(self, *given):
        if self.stage == "student" and self.progress.steps == 9:
            raise Killed
        step(self, *given)

    monkeypatch.setattr(Trainer, "step", until)
    with pytest.raises(Killed):
        train(recipe_of(make), tmp_path / "out")
    monkeypatch.setattr(Trainer, "step", step)
    log = tmp_path / "out" / "seed-1" / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[:500])
    train(recipe_of(make), tmp_path / "out", resumed=True)
    assert "is shorter than when the state was saved" in capsys.readouterr().out.replace("\n", " ")
    assert b"\0" not in log.read_bytes()
    assert all(json.loads(line)["stage"] for line in log.read_text().splitlines())  # no half of a row is left


def test_when_a_state_is_due(tmp_path):
    now = [0.0]
    saver = Saver(tmp_path, "student", Save(steps=3, minutes=2), print, clock=lambda: now[0])
    assert [saver.due(steps) for steps in (1, 2, 3, 4, 6)] == [False, False, True, False, True]
    now[0] = 120.0
    assert saver.due(1)
    saver.save({})
    assert not saver.due(1)
    assert Saver(tmp_path, "student", Save(minutes=None), print, stop=lambda: True).due(1)


def test_two_states_are_kept(tmp_path):
    saver = Saver(tmp_path, "student", Save(), print, logged=lambda: 7)
    for n in range(4):
        saver.save({"n": n, "t": torch.tensor([float(n)])})
    assert [path.name for path in saving.files(tmp_path, "student")] == ["student-000003.state", "student-000004.state"]
    found = saving.last_of(tmp_path, print)
    assert (found.state["n"], found.logged) == (3, 7)


class Evil:
    def __reduce__(self):
        return (os.system, ("true",))


def test_a_state_executes_nothing(tmp_path):
    path = tmp_path / "student-000001.state"
    saving.write(path, Saved({"evil": Evil()}, 0))
    assert saving.read(path) is None  # like one that was torn


def command(tmp_path, recipe, *more):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_file.dump(recipe))
    line = [sys.executable, "-m", "mmsa_core", "train", str(path), "--out", str(tmp_path / "out"), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path, process):
    until = time.monotonic() + 120
    while not list(path.parent.glob(path.name)):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("seeds", [[1], [1, 2]], ids=["serial", "parallel"])
def test_sigterm_saves_and_says_how_to_go_on(make, tmp_path, seeds):
    many = {"epochs": 400, "batch_size": 4, "lr": 1e-3}
    recipe = recipe_of(make, seeds=seeds, train=many, teacher={"kind": "none"}, distillers={})
    process = command(tmp_path, recipe, "--jobs", "2")
    wait_for(tmp_path / "out" / "seed-1" / "last" / "student-*.state", process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert f"mmsa resume {tmp_path / 'out'} goes on" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / ".lock").exists()


def test_sigkill_and_the_same_bytes(make, tmp_path, whole):
    recipe = recipe_of(make)
    for number in range(3):
        process = command(tmp_path, recipe, *(["--resume"] if number else []))
        pattern = "teacher-*.state" if number == 0 else "student-*.state"
        wait_for(tmp_path / "out" / "seed-1" / "last" / pattern, process)
        process.kill()
        process.communicate(timeout=60)
    process = command(tmp_path, recipe, "--resume")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert content(Path(tmp_path) / "out" / "seed-1") == whole
    assert not [path for path in (tmp_path / "out" / "seed-1").iterdir() if path.name.startswith(".")]


def test_an_interruption_in_process_is_an_exception(make, tmp_path, monkeypatch):
    states = tmp_path / "out" / "seed-1" / "last"
    monkeypatch.setattr("mmsa_core.training.stopping.Stop.__call__", lambda self: states.exists())
    with pytest.raises(Interrupted, match=r"mmsa resume .*out goes on, or the same command with --out .*out --resume$"):
        train(recipe_of(make), tmp_path / "out")


def test_what_is_no_state_is_neither_read_nor_counted(tmp_path):
    folder = tmp_path / saving.FOLDER
    folder.mkdir()
    saver = Saver(tmp_path, "student", Save(steps=1), pytest.fail)
    for name in ("student-zz.state", "student-000009x.state", ".student-000001.state.ab12cd34"):
        (folder / name).write_bytes(b"odd")
    assert saver.load() is None
    saver.save({"step": 1})
    assert saver.load() == {"step": 1}
    saving.tidy(tmp_path)
    assert not (folder / ".student-000001.state.ab12cd34").exists()  # a kill leaves such behind


@pytest.mark.parametrize("changed", [{"used": "x"}, {"used": {"seconds": "x"}}, {"logged": -1}, {"logged": True}])
def test_a_state_of_another_form_is_not_used(tmp_path, changed):
    (tmp_path / saving.FOLDER).mkdir()
    saving.write(tmp_path / saving.FOLDER / "student-000001.state", Saved({}, 0, {})._replace(**changed))
    said = []
    assert saving.last(tmp_path, "student", said.append) is None
    assert len(said) == 1
