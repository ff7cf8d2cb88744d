"""What a machine runs out of, and being asked to end: what is said, and what is kept."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from mmsa_core import limits, registry, writers
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder import checkpoint, lock
from mmsa_core.tracking.tracking import JsonLines
from mmsa_core.training import experiment, saving
from mmsa_core.training.runner import Trainer

CPU = torch.device("cpu")
START = [sys.executable, "-m", "mmsa_core"]
WRITTEN = ("student.safetensors", "metrics.jsonl", "predictions.csv", "results.json")


def recipe_of(make, **changes):
    return make.tiny(**({"save": {"steps": 1}, "train": {"epochs": 2, "batch_size": 8}} | changes))


def train(recipe, out, **options):
    return experiment.train(recipe, out, CPU, "test", Display(), **options)


def content(out):
    return {name: (out / "seed-1" / name).read_bytes() for name in WRITTEN}


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    return content(train(recipe_of(make), tmp_path_factory.mktemp("whole") / "out"))


def cuda_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 1 GiB")


def cpu_memory(*_):
    torch.empty(1 << 60, dtype=torch.uint8)


def memory(*_):
    raise MemoryError


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


LIMITS = [
    (Trainer, "losses", cuda_memory, r"the device's memory ran out \(20.00 MiB were asked for\); .*train.accumulate"),
    (
        Trainer,
        "losses",
        cpu_memory,
        r"memory ran out \(1152921504606846976 bytes were asked for\); take a smaller train.batch_size",
    ),
    (Trainer, "losses", memory, "memory ran out; take a smaller train.batch_size"),
    (Trainer, "validate", memory, "memory ran out; take a smaller train.batch_size"),
    (JsonLines, "rows", full, "No space left on device; make room"),
    (checkpoint.Path, "write_bytes", full, r"student-000004\.state: No space left on device; make room"),
    (checkpoint.os, "fsync", full, r"metrics\.jsonl: No space left on device; make room"),
]


@pytest.mark.parametrize(("owner", "name", "fails", "says"), LIMITS)
def test_what_runs_out_is_said_and_the_last_state_goes_on(make, tmp_path, monkeypatch, whole, owner, name, fails, says):
    save = saving.Saver.save

    def saved(self, state):
        if state["progress"]["steps"] == 4:
            monkeypatch.setattr(owner, name, fails)
        save(self, state)

    with monkeypatch.context() as patched:
        patched.setattr(saving.Saver, "save", saved)
        with pytest.raises(UserError, match=says) as caught:
            train(recipe_of(make), tmp_path / "out")
    monkeypatch.undo()
    *_, last = saving.files(tmp_path / "out" / "seed-1", "student")
    assert f"the last state is whole: {last}; mmsa resume {tmp_path / 'out'}, or the same command" in str(caught.value)
    assert not list(tmp_path.rglob(".student-*"))
    train(recipe_of(make), tmp_path / "out", resumed=True)
    assert content(tmp_path / "out") == whole


def test_a_folder_that_is_removed(make, tmp_path, monkeypatch):
    step = Trainer.step

    def removed(self, *given):
        shutil.rmtree(tmp_path / "out" / "seed-1", ignore_errors=True)
        step(self, *given)

    monkeypatch.setattr(Trainer, "step", removed)
    with pytest.raises(UserError, match="seed-1 was removed or renamed while it was written to"):
        train(recipe_of(make), tmp_path / "out")


@pytest.mark.parametrize("removed", ["out", "out/seed-1"])
def test_a_folder_that_is_removed_between_seeds(make, tmp_path, monkeypatch, removed):
    found = experiment._summary

    def gone(*given):
        result = found(*given)
        shutil.rmtree(tmp_path / removed)
        return result

    monkeypatch.setattr(experiment, "_summary", gone)
    if removed == "out":
        with pytest.raises(UserError, match="out was removed or renamed"):
            train(recipe_of(make), tmp_path / "out")
    else:
        assert (train(recipe_of(make), tmp_path / "out") / "results.json").is_file()


def test_errors_of_other_kinds_are_left_as_they_are(tmp_path):
    for error in (RuntimeError("a defect"), FileNotFoundError(errno.ENOENT, "No such file", "x"), BrokenPipeError()):
        assert limits.explained(error) is None
        with pytest.raises(type(error)), limits.told(tmp_path, lambda: "kept"):
            raise error
    read_only = OSError(errno.EROFS, "Read-only file system", "/there/file")
    assert limits.explained(read_only).startswith("/there/file: Read-only file system; see who may")


def command(tmp_path, *line, file_size=None, **changes):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"} | changes
    limit = None if file_size is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    return subprocess.Popen([*START, *map(str, line)], env=environment, cwd=tmp_path, preexec_fn=limit, **given)


def written(tmp_path, recipe):
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    return "recipe.yaml"


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_may_not_grow(make, tmp_path, jobs):
    recipe = written(tmp_path, recipe_of(make, seeds=[1, 2]))
    process = command(tmp_path, "train", recipe, "--out", "out", "--jobs", jobs, file_size=20_000)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "student-000001.state: File too large; raise the limit" in said
    assert (
        "no state was saved yet in out/seed-1; mmsa resume out, or the same command with --out out --resume, trains"
        in said
    )
    assert "Traceback" not in said


def test_the_traceback_is_shown_on_demand(make, tmp_path):
    recipe = written(tmp_path, recipe_of(make))
    process = command(tmp_path, "train", recipe, "--out", "out", "--debug", file_size=20_000)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Traceback" in said
    assert "File too large" in said


def interrupted(tmp_path, process, pattern, again=False):
    """Wait for a file, then press Ctrl-C: it reaches every process of the group."""
    until = time.monotonic() + 120
    while not list(tmp_path.glob(pattern)):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert "Traceback" not in said, said
    return process.returncode, said


LONG = {"train": {"epochs": 400, "batch_size": 4}, "seeds": [1, 2]}


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_while_training(make, tmp_path, jobs):
    process = command(tmp_path, "train", written(tmp_path, recipe_of(make, **LONG)), "--out", "out", "--jobs", jobs)
    code, said = interrupted(tmp_path, process, "out/seed-1/last/student-*.state")
    assert code == 75, said
    assert said.splitlines()[-1] == (
        "stopped; what was done is saved; mmsa resume out goes on, or the same command with --out out --resume"
    )
    assert not (tmp_path / "out" / lock.FILE).exists()


def test_ctrl_c_while_processes_start(make, tmp_path):
    process = command(tmp_path, "train", written(tmp_path, recipe_of(make, **LONG)), "--out", "out", "--jobs", 2)
    code, said = interrupted(tmp_path, process, "out/.lock")
    assert code == 75, said
    assert said.splitlines()[-1] in (
        "stopped; nothing was begun",
        "stopped; what was done is saved; mmsa resume out goes on, or the same command with --out out --resume",
    )


SLOW = """
import time

import mmsa_core.{module}
from mmsa_core.cli import main


def slow(*_, **__):
    open({flag!r}, "w").close()
    time.sleep(100)


mmsa_core.{module}.{function} = slow
main()
"""
COMMANDS = {
    "train": ("corpora.data", "load", ["train", "recipe.yaml", "--out", "new"], 75),
    "check": ("assemble", "contracts", ["check", "recipe.yaml"], 130),
    "evaluate": ("run_folder.checkpoint", "write_numbered", ["evaluate", "out", "--protocol", "inter"], 130),
    "compare": ("comparison.compare_tables", "table", ["compare", "out", "other", "--csv", "new"], 130),
    "report": ("report.page", "page", ["report", "out", "--out", "new", "--protocol", "inter"], 130),
    "masks": ("masks.recording", "write_text", ["masks", "out", "--protocol", "inter", "--out", "new"], 130),
    "embed": ("embedding.embedding_figure", "png", ["embed", "out", "--out", "new"], 130),
    "convert": ("datasets.storing", "_sync", ["data", "convert", "corpus.pkl", "new"], 130),
    "predict": ("run_folder.checkpoint", "umask", ["predict", "out/seed-1", "corpus.pkl", "--out", "new"], 130),
    "ablate": ("registry", "metadata", ["ablate", "recipe.yaml", "--drop", "masker", "--out", "new"], 130),
}


@pytest.fixture(scope="module")
def trained(make, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    for name in ("out", "other"):
        train(make.tiny(name=name, train={"epochs": 1, "batch_size": 22}), folder / name)
    written(folder, recipe_of(make))
    config = make.tiny().data
    writers.write(registry.datasets.get(config.name)(config).load(), "mmsa-pickle", folder / "corpus.pkl")
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_leaves_nothing_half_written(trained, tmp_path, name):
    module, function, line, expected = COMMANDS[name]
    for each in trained.iterdir():
        (tmp_path / each.name).symlink_to(each)
    code = SLOW.format(module=module, function=function, flag=str(tmp_path / "reached"))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *line],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    status, said = interrupted(tmp_path, process, "reached")
    assert status == expected, said
    assert said.splitlines()[-1].startswith("stopped; ")
    assert not (tmp_path / "new").exists()
    unfinished = [path for folder in (trained, tmp_path) for path in folder.rglob("*") if path.name.startswith(".")]
    assert not [*unfinished, *trained.rglob("evaluate-*")]
