"""Sweeps: validation decides, nothing is tested, kills change nothing, and one trial's failure is its own."""

import csv
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
from mmsa_core.errors import UserError
from mmsa_core.execution.executor import Failure
from mmsa_core.recipes import recipe_file
from mmsa_core.sweeps import candidates, sweep_file, sweeping
from mmsa_core.sweeps.observing import Observed
from mmsa_core.sweeps.sweep import Objective

CPU = torch.device("cpu")


def run(path, out, executor, resumed=False):
    return sweeping.run(sweep_file.load(path), out, CPU, "test", Display(), 1, resumed, executor)


def rows(folder):
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_validation_alone_decides(write, here, tmp_path):
    path = write()
    out = run(path, tmp_path / "out", here.Here())
    found = rows(out)
    assert [row["state"] for row in found] == ["complete"] * 4
    values = []
    for number, row in enumerate(found):
        each = []
        for seed in (1, 2):
            folder = out / "trials" / f"{number:04d}" / f"seed-{seed}"
            lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            each.append(min(line["valid/loss"] for line in lines if "best" in line))
            assert float(row[f"seed {seed}"]) == each[-1]
        assert float(row["loss"]) == pytest.approx(sum(each) / 2, abs=1e-12)
        values.append(float(row["loss"]))
        recipe = recipe_file.load(out / "trials" / f"{number:04d}" / "recipe.yaml")
        assert (recipe.train.lr, recipe.model.dim) == (float(row["train.lr"]), int(row["model.dim"]))
        assert json.loads(row["model.fusion"]) == {"name": recipe.model.fusion.name}
    best = recipe_file.load(out / "best.yaml")
    assert best.train.lr == float(found[values.index(min(values))]["train.lr"])
    assert best.evaluate.test
    names = {each.name for each in out.rglob("*")}
    assert not names & {"predictions.csv", "test_evaluations.jsonl"}
    assert {"importance.png", "importance.pdf", "parallel.png", "parallel.pdf"} <= names
    again = run(path, tmp_path / "again", here.Here())
    for name in ("trials.csv", "best.yaml", "importance.png", "parallel.png"):
        assert (out / name).read_bytes() == (again / name).read_bytes(), name


def test_a_metric_is_maximised_on_complete_data_too(write, here, tmp_path):
    space = {"masker.rate": {"kind": "float", "low": 0.0, "high": 0.6, "step": 0.3}}
    objective = {"metric": "acc7", "under": "complete"}
    path = write(space=space, trials=None, sampler={"kind": "grid"}, objective=objective)
    out = run(path, tmp_path / "out", here.Here())
    found = rows(out)
    assert [float(row["masker.rate"]) for row in found] == pytest.approx([0.0, 0.3, 0.6])
    for number, row in enumerate(found):
        results = json.loads((out / "trials" / f"{number:04d}" / "seed-1" / "results.json").read_text())
        assert float(row["seed 1"]) == results["conditions"]["valid_complete"]["acc7"]
    best = max(found, key=lambda row: float(row["acc7"]))
    assert recipe_file.load(out / "best.yaml").masker.rate == float(best["masker.rate"])


class Killed(Exception):
    pass


def test_a_killed_driver_goes_on_with_the_same_trials(write, here, tmp_path):
    path = write(pruner={"kind": "median", "startup": 1})
    whole = run(path, tmp_path / "whole", here.Here())
    assert {row["state"] for row in rows(whole)} == {"complete", "pruned"}

    def kill(name):
        raise Killed

    for number in (0, 1, 2, 3):
        killed = here.Here(lambda name, at=number: kill(name) if name == f"trial {at}" else None)
        with pytest.raises(Killed):
            run(path, tmp_path / "out", killed, resumed=True)
        with (tmp_path / "out" / "study.journal").open("a") as file:
            file.write('{"op_code": 4, "torn')
    out = run(path, tmp_path / "out", here.Here(), resumed=True)
    for name in ("trials.csv", "best.yaml"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    done = here.Here()
    run(write(trials=5, pruner={"kind": "median", "startup": 1}), out, done, resumed=True)
    assert done.started == ["trial 4"]


def test_a_worker_that_dies_goes_on(write, here, tmp_path):
    deaths = iter([True, True, False])
    dead = here.Done(Failure("it was killed", crashed=True))
    executor = here.Here(lambda name: dead if name == "trial 1" and next(deaths, False) else None)
    out = run(write(), tmp_path / "out", executor)
    assert executor.started.count("trial 1") == 3
    assert [row["state"] for row in rows(out)] == ["complete"] * 4
    always = here.Here(lambda name: dead if name == "trial 1" else None)
    out = run(write(), tmp_path / "other", always)
    assert always.started.count("trial 1") == 3
    assert [(row["state"], row["message"]) for row in rows(out)][1] == ("failed", "it was killed")


def test_failed_trials(write, here, tmp_path):
    failed = here.Done(Failure("the loss is NaN"))
    one = here.Here(lambda name: failed if name in ("trial 0", "trial 1", "trial 3") else None)
    out = run(write(), tmp_path / "out", one)
    assert [row["state"] for row in rows(out)] == ["failed", "failed", "complete", "failed"]
    with pytest.raises(UserError, match="3 trials in a row failed, the last one, 2, of: the loss is NaN"):
        run(write(), tmp_path / "all", here.Here(lambda name: failed))


def test_a_combination_that_does_not_fit_fails_alone(write, here, tmp_path):
    space = {
        "model.dim": {"kind": "categorical", "choices": [8, 12]},
        "model.encoders.text": {
            "kind": "categorical",
            "choices": [
                {"name": "transformer", "layers": 1, "heads": 4},
                {"name": "transformer", "layers": 1, "heads": 8},
            ],
        },
    }
    out = run(write(space=space, trials=None, sampler={"kind": "grid"}), tmp_path / "out", here.Here())
    assert [row["state"] for row in rows(out)] == ["complete", "complete", "complete", "failed"]
    assert "12" in rows(out)[3]["message"]


def test_steps_by_hand(make, tmp_path):
    recipe = make.tiny(seeds=[5, 6], train={"epochs": 3, "batch_size": 8})
    for seed, losses in ((5, [4.0, 2.0, 3.0]), (6, [None, 1.0])):
        folder = tmp_path / f"seed-{seed}"
        folder.mkdir()
        lines = [
            {"stage": "student", "epoch": n, "best": False, "valid/loss": loss} for n, loss in enumerate(losses, 1)
        ]
        noise = {"stage": "teacher", "epoch": 9, "best": True, "valid/loss": 0.0}
        text = "".join(json.dumps(line) + "\n" for line in (noise, *lines))
        (folder / "metrics.jsonl").write_text(text + '{"stage": "student", "best"')
    observed = Observed(tmp_path, recipe, Objective())
    assert observed.steps() == {1: 4.0, 2: 2.0, 3: 3.0}  # the first seed is not finished
    for name in ("recipe.yaml", "student.safetensors"):
        (tmp_path / "seed-5" / name).touch()
    (tmp_path / "seed-5" / "results.json").write_text(json.dumps({"conditions": {"a": {}}, "best_epoch": 2}))
    assert observed.steps() == {1: 4.0, 2: 2.0, 3: 3.0, 5: 1.5}  # epoch 2 of seed 6 beside the best of seed 5


def test_the_trials_of_a_sweep_are_a_group(write, tmp_path):
    loaded = sweep_file.load(write(set={"track.wandb": {"mode": "disabled"}}))
    assert candidates.trial(loaded, {}, "out").track.wandb.group == "out"
    assert candidates.chosen(loaded, {}).track.wandb.group is None


@pytest.mark.slow
@pytest.mark.parametrize("on", ["local", "ray"])
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_for_real(write, here, tmp_path, on):
    """The worker, then the driver: the trials are those of a sweep that was left alone."""
    if on == "ray":
        pytest.importorskip("ray")
    changes = {"trials": 2, "seeds": [1], "set": {"train.epochs": 40, "save.steps": 1}}
    path = write(**changes)
    whole = run(path, tmp_path / "whole", here.Here())
    line = [sys.executable, "-m", "mmsa_core", "sweep", path, "--out", tmp_path / "out", "--jobs", "1", "--on", on]
    with (tmp_path / "said").open("w") as said:
        first = subprocess.Popen([*line, "--resume"], stdout=said, stderr=said, start_new_session=True)
    os.kill(at(tmp_path / "out" / "trials" / "0000" / "seed-1", first), signal.SIGKILL)
    if on == "local":
        at(tmp_path / "out" / "trials" / "0001" / "seed-1", first)
        first.kill()
        first.wait()
        again = subprocess.run([*line, "--resume"], capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert "trial 1 goes on" in again.stdout
    else:
        assert first.wait() == 0, (tmp_path / "said").read_text()
    assert "goes on (restart 1)" in (tmp_path / "said").read_text()
    for name in ("trials.csv", "best.yaml"):
        assert (tmp_path / "out" / name).read_bytes() == (whole / name).read_bytes(), name


def at(seed, driver):
    """Wait until a state of a seed is saved; the process that trains it."""
    while not list(seed.glob("last/student-*.state")):
        assert driver.poll() is None
        time.sleep(0.01)
    holder = json.loads((seed.parent / ".lock").read_text())
    assert Path(f"/proc/{holder['pid']}").exists()
    return holder["pid"]
