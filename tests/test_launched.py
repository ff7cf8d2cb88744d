"""The command as a launcher starts it, several times at once: one speaks and writes, and all stop together."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from mmsa_core import launched
from mmsa_core.errors import Together
from mmsa_core.recipes import recipe_file
from mmsa_core.training import joining

SECOND = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
POOLED = {"name": "pooled", "dropout": 0.0}


@pytest.fixture
def recipe(make, tmp_path):
    """A recipe's file."""
    model = {"dim": 4, "encoders": dict.fromkeys(("text", "audio"), POOLED), "fusion": {"name": "concat"}}
    train = {"epochs": 30, "batch_size": 8, "algorithm": "sgd", "lr": 0.01, "valid_draws": 1}
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_file.dump(make.corrkd(model=model, train=train)))
    return path


@pytest.fixture
def second(monkeypatch):
    """This process is the second of two."""
    for name, value in SECOND.items():
        monkeypatch.setenv(name, value)


def started(*arguments, count=2):
    """The command, started so many times."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    line = [sys.executable, "-m", "mmsa_core", *map(str, arguments), "--device", "cpu"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    shared = os.environ | SECOND | {"MASTER_PORT": port, "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    one = [
        {"RANK": str(n), "LOCAL_RANK": str(n), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} for n in range(count)
    ]
    return [subprocess.Popen(line, env=shared | own, **pipe) for own in one]


def test_all_stop_at_one_step_and_another_number_of_processes_goes_on(recipe, tmp_path, mmsa):
    first, other = started("train", recipe, "--out", tmp_path / "out")
    said = ""
    while "student epoch 2/" not in said:
        said += (line := first.stdout.readline())
        assert line, first.stderr.read()
    other.send_signal(signal.SIGTERM)
    assert first.communicate()[1].startswith("stopped; what was done is saved; mmsa resume")
    assert other.communicate() == ("", "")
    assert (first.returncode, other.returncode) == (75, 75)
    assert "2 processes train each seed together" in said
    resumed = mmsa("resume", tmp_path / "out")
    assert resumed.exit_code == 0, resumed.output
    assert mmsa("train", recipe, "--out", tmp_path / "whole", "--jobs", "1").exit_code == 0
    found, whole = (tmp_path / name / "seed-1" for name in ("out", "whole"))
    for name in ("student.safetensors", "teacher.safetensors", "distillers.safetensors"):
        there = load_file(whole / name)
        for key, value in load_file(found / name).items():
            assert (value.float() - there[key].float()).abs().max() < 1e-5
    about = json.loads((found / "provenance.json").read_text())
    assert about["processes"] == 2
    assert about["resumed"][0]["processes"] == 1
    assert [path.name for path in found.iterdir() if path.name == "last"] == []


def test_a_mistake_is_said_once(recipe, tmp_path):
    processes = started("train", recipe, "--set", "train.batch_size=1", "--out", tmp_path / "out")
    (_, said), nothing = (process.communicate() for process in processes)
    assert said.startswith("error: train.batch_size: a batch of 1 cannot be shared by 2 processes")
    assert nothing == ("", "")
    assert processes[0].returncode == 2
    assert not (tmp_path / "out").exists()


def test_only_the_first_says_that_a_command_is_wrong(mmsa, second):
    found = mmsa("train", "recipe.yaml", "--nope")
    assert (found.exit_code, found.output) == (2, "")


def test_the_others_leave_other_commands_to_the_first(mmsa, second, monkeypatch, recipe):
    found = mmsa("check", recipe)
    assert (found.exit_code, found.output) == (0, "")
    monkeypatch.setenv("RANK", "0")
    found = mmsa("check", recipe)
    assert found.output.startswith("warning: `mmsa check` takes one process; the other 1 end")
    assert "name: tiny" in found.output


def test_what_the_variables_of_a_launcher_say(monkeypatch, second):
    assert (launched.rank(), launched.size()) == (1, 2)
    monkeypatch.delenv("MASTER_ADDR")  # as some shells have WORLD_SIZE for another purpose
    assert (launched.rank(), launched.size()) == (0, 1)


def test_what_several_processes_need(mmsa, second, monkeypatch):
    monkeypatch.setattr(joining.torch.cuda, "is_available", lambda: False)
    with pytest.raises(Together, match="no CUDA device is available"), joining.joined("cuda"):
        pass
    monkeypatch.setattr(joining.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(joining.torch.cuda, "device_count", lambda: 1)
    with pytest.raises(Together, match=r"2 processes on this machine, but 1 CUDA devices"), joining.joined("auto"):
        pass
    monkeypatch.setattr(joining.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Together, match=r"need accelerate: pip install 'mmsa-core\[distributed\]'"):
        joining.joined("cpu").__enter__()
