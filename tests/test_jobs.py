"""Seeds in processes of their own: the same numbers as in one, and what happens when one or all of them end early."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from mmsa_core import registry
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder import checkpoint, lock
from mmsa_core.training import experiment, jobs

CPU = torch.device("cpu")
WRITTEN = ("student", "teacher", "distillers")


def train(recipe, folder, display=None, **options):
    return experiment.train(recipe, folder, CPU, "test", display or Display(), **options)


def test_the_numbers_of_one_process_to_the_byte(make, tmp_path, capsys):
    recipe = make.corrkd(seeds=[1, 2])
    serial = train(recipe, tmp_path / "serial")
    capsys.readouterr()
    parallel = train(recipe, tmp_path / "parallel", processes=2)
    names = [f"seed-{seed}/{name}.safetensors" for seed in (1, 2) for name in WRITTEN]
    names += [f"seed-{seed}/{name}" for seed in (1, 2) for name in ("metrics.jsonl", "results.json", "predictions.csv")]
    for name in [*names, "results.json"]:
        assert (serial / name).read_bytes() == (parallel / name).read_bytes(), name
    lines = capsys.readouterr().out.splitlines()
    assert {"seed 1 (1 of 2)", "seed 2 (2 of 2)"} <= set(lines)
    for seed in (1, 2):
        (first, *_, last) = [line for line in lines if line.startswith(f"seed {seed} | ")]
        assert first.startswith(f"seed {seed} | teacher epoch 1/2 | task ")
        assert last.startswith(f"seed {seed} | student epoch 2/2 | cpd ")


@pytest.mark.parametrize(
    ("cores", "asked", "threads", "device", "seeds", "number"),
    [
        (8, None, 1, "cpu", 5, 5),
        (4, None, 1, "cpu", 5, 4),
        (8, None, 3, "cpu", 5, 2),
        (2, None, 4, "cpu", 5, 1),
        (8, None, 1, "cuda", 5, 1),
        (8, 3, 1, "cuda", 5, 3),
        (1, 4, 1, "cpu", 5, 4),
        (8, 6, 1, "cpu", 2, 2),
        (8, None, 1, "cpu", 0, 1),
    ],
)
def test_how_many_at_once(make, monkeypatch, cores, asked, threads, device, seeds, number):
    monkeypatch.setattr(jobs, "cores", lambda: cores)
    assert jobs.number(asked, make.tiny(threads=threads), torch.device(device), range(seeds)) == number


def test_a_corpus_in_memory_is_trained_on_in_this_process(make, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs.Local, "start", lambda *_: pytest.fail("a process was started"))
    recipe = make.tiny(seeds=[1, 2], train={"epochs": 1, "batch_size": 22})
    corpus = registry.datasets.get("synthetic")(recipe.data).load()
    folder = train(recipe, tmp_path / "out", corpus=corpus, processes=2)
    assert [path.name for path in checkpoint.seed_folders(folder)] == ["seed-1", "seed-2"]


class InTheWay(Display):
    """Puts a file where seed 2 belongs, as soon as it begins."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def seed(self, seed, seeds):
        if seed == 2:
            (self.out / "seed-2").write_text("mine")


def test_a_seed_that_fails_stops_no_other(make, tmp_path):
    recipe, out = make.tiny(seeds=[1, 2, 3]), tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError) as caught:
        train(recipe, out, InTheWay(out), processes=2)
    first, second = str(caught.value).splitlines()
    assert first.startswith("seed 2: ")
    assert "File exists" in first
    assert second == f"seed-1 finished and kept in {out}; mmsa resume {out} goes on"
    assert not (out / "seed-3").exists()
    assert not (out / "results.json").exists()


class Killed(Display):
    """Kills the process of the first seed that prints something."""

    def of_seed(self, seed, line):
        super().of_seed(seed, line)
        for process in multiprocessing.active_children():
            process.kill()


def test_a_process_that_is_killed_is_reported(make, tmp_path):
    recipe = make.tiny(seeds=[1, 2], train={"epochs": 10**6, "batch_size": 22})
    with pytest.raises(UserError, match=r"its process ended with signal SIGKILL; .* fewer --jobs"):
        train(recipe, tmp_path / "out", Killed(), processes=2)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_first(make, tmp_path, how):
    """Ctrl-C, or the end of the first process whatever its cause."""
    recipe = make.tiny(seeds=[1, 2], train={"epochs": 10**6, "batch_size": 22})
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    first = begun(tmp_path)
    first.send_signal(how)
    first.wait()
    all_ended(first)
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert (tmp_path / "out" / "seed-1" / "recipe.yaml").exists()


def begun(tmp_path, line=("train", "recipe.yaml", "--out", "out"), pattern="student epoch"):
    """Two seeds in processes of their own, as soon as each has said so."""
    command = [sys.executable, "-m", "mmsa_core", *line, "--jobs", "2"]
    with (tmp_path / "said").open("w") as said:
        first = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stdout=said, stderr=said)
    while not all(f"seed {seed} | {pattern}" in (tmp_path / "said").read_text() for seed in (1, 2)):
        assert first.poll() is None, (tmp_path / "said").read_text()
        time.sleep(0.02)
    return first


def all_ended(first):
    """Wait until no process of its group is left."""
    while True:
        try:
            os.killpg(first.pid, 0)  # raises when there is none
        except ProcessLookupError:
            return
        time.sleep(0.05)


def seeds_of(first):
    """The processes that train."""
    found = map(int, Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split())
    return [each for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@LINUX
def test_the_lock_is_held_as_long_as_any_process_may_write(make, tmp_path):
    recipe = make.tiny(seeds=[1, 2], train={"epochs": 10**6, "batch_size": 22})
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    first = begun(tmp_path)
    one, _ = seeds_of(first)
    os.kill(one, signal.SIGSTOP)
    first.kill()
    first.wait()
    with pytest.raises(UserError, match=rf"\(process {first.pid} on .*, or one that it started\)"):
        lock._taken(tmp_path / "out", tmp_path / "out" / lock.FILE, pytest.fail)
    os.kill(one, signal.SIGCONT)
    all_ended(first)
    with lock.held(tmp_path / "out", pytest.fail):
        pass


@pytest.mark.slow
@LINUX
def test_killed_in_every_way_and_the_same_bytes(make, tmp_path):
    recipe = make.tiny(seeds=[1, 2], train={"epochs": 20, "batch_size": 4}, save={"steps": 1})
    whole = train(recipe, tmp_path / "whole")
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    first = begun(tmp_path)
    first.kill()
    first.wait()
    all_ended(first)
    first = begun(tmp_path, ("resume", "out"))
    first.terminate()
    assert first.wait() == 75
    assert not (tmp_path / "out" / lock.FILE).exists()
    first = begun(tmp_path, ("resume", "out"))
    os.kill(seeds_of(first)[-1], signal.SIGKILL)
    assert first.wait() == 2
    assert "its process ended with signal SIGKILL" in (tmp_path / "said").read_text()
    assert len(list((tmp_path / "out").glob("seed-*/results.json"))) == 1  # the other one was not stopped
    experiment.train(recipe, tmp_path / "out", CPU, "test", Display(), resumed=True)
    for path in (each for each in whole.rglob("*") if each.is_file()):
        if path.name not in ("provenance.json", "test_evaluations.jsonl"):
            name = path.relative_to(whole)
            assert path.read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    assert not list((tmp_path / "out").rglob(".*"))


def test_where_it_failed_is_the_cause(make, tmp_path):
    recipe, out = make.tiny(seeds=[1, 2]), tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError) as caught:
        train(recipe, out, InTheWay(out), processes=2)
    assert isinstance(caught.value.__cause__, jobs.Elsewhere)
    assert str(caught.value.__cause__).startswith("seed 2, in its process:\nTraceback ")
    assert "folder.mkdir(" in str(caught.value.__cause__)


def test_a_failure_of_more_words_than_a_pipe_holds_is_heard():
    context, said = multiprocessing.get_context("spawn"), ("x" * 10**6, "where")
    job = object.__new__(jobs.Job)
    (job._output, output), (job._message, message) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    os.set_blocking(job._output.fileno(), False)
    job._rest, job._said = b"", None
    talking = threading.Thread(target=message.send, args=(said,), daemon=True)
    talking.exitcode, job.process = 2, talking
    talking.start()
    until = time.monotonic() + 60
    while talking.is_alive() and time.monotonic() < until:
        job.lines(ended=False)
    assert not talking.is_alive()
    assert job.close()[:2] == said
    output.close()
    message.close()
