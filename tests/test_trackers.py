"""Weights & Biases may be missing, wrong, broken or mute: a training ends all the same, with one warning."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import wandb

from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.evaluation import reports
from mmsa_core.recipes import recipe_file
from mmsa_core.tracking import wandb_runs
from mmsa_core.tracking.tracking import JsonLines
from mmsa_core.training import experiment

CPU = torch.device("cpu")
TRACK = {"wandb": {"mode": "offline"}}
SHORT = {"epochs": 1, "batch_size": 22}
BEGUN = 2
"""Requests that W&B makes until a run has begun: is it one to go on with, and make it."""
WARNED = "tracker W&B failed and is switched off; all else goes on"
WRITTEN = ("student.safetensors", "metrics.jsonl", "predictions.csv", "results.json")


def train(recipe, out):
    return experiment.train(recipe, out, CPU, "test", Display())


def content(folder):
    return {name: (folder / name).read_bytes() for name in WRITTEN}


@pytest.fixture(scope="module")
def untracked(make, tmp_path_factory):
    folder = train(make.tiny(seeds=[1, 2], train=SHORT), tmp_path_factory.mktemp("untracked") / "out")
    return [content(folder / f"seed-{seed}") for seed in (1, 2)]


def nothing_is_lost(make, out, untracked, capsys, track=TRACK):
    folder = train(make.tiny(seeds=[1, 2], train=SHORT, track=track), out)
    assert [content(folder / f"seed-{seed}") for seed in (1, 2)] == untracked
    assert (folder / "results.json").is_file()
    said = capsys.readouterr().out
    assert said.count("warning:") == said.count(WARNED) == 1
    return said


@pytest.fixture
def told(monkeypatch):
    """Offline runs that keep nothing open when the test ends."""
    yield monkeypatch
    monkeypatch.undo()
    wandb.teardown()


@pytest.mark.parametrize("error", [RuntimeError("out of order"), SystemExit(3)], ids=["error", "exit"])
@pytest.mark.parametrize("call", ["define_metric", "log", "log_artifact", "finish"])
def test_a_run_that_raises(make, tmp_path, told, untracked, capsys, call, error):
    def broken(*_, **__):
        raise error

    told.setattr(wandb.Run, call, broken)
    said = nothing_is_lost(make, tmp_path / "out", untracked, capsys)
    assert f"({error})" in said


MODULE = [(wandb, "init"), (wandb, "setup"), (wandb, "Table"), (wandb.Artifact, "add_file")]


@pytest.mark.parametrize(("owner", "call"), MODULE, ids=[call for _, call in MODULE])
def test_a_module_that_raises(make, tmp_path, told, untracked, capsys, owner, call):
    def broken(*_, **__):
        raise OSError("first line\nsecond line " + "x" * 1000)

    told.setattr(owner, call, broken)
    said = nothing_is_lost(make, tmp_path / "out", untracked, capsys)
    assert "(first line second line xxx" in said
    assert "x" * 300 not in said


def test_pictures_that_raise(make, tmp_path, told, capsys):
    told.setattr(wandb, "Image", lambda *_, **__: 1 / 0)
    folder = train(make.tiny(train=SHORT), tmp_path / "out")
    reports.evaluate(folder, ["intra"], "test", None, [], CPU, Display(), track=True)
    assert capsys.readouterr().out.count(f"{WARNED} (division by zero)") == 1
    assert (folder / "evaluate-corrkd-intra.csv").is_file()


def test_not_installed(make, tmp_path, monkeypatch, untracked, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert "wandb" in nothing_is_lost(make, tmp_path / "out", untracked, capsys)


def test_a_mode_that_there_is_not(make, tmp_path, told, untracked, capsys):
    told.setenv("WANDB_MODE", "sometimes")
    assert "sometimes" in nothing_is_lost(make, tmp_path / "out", untracked, capsys, {"wandb": {}})


def test_no_key(make, tmp_path, told, untracked, capsys):
    told.setenv("HOME", str(tmp_path))
    told.delenv("WANDB_API_KEY", raising=False)
    told.setattr(sys, "stdin", io.StringIO())  # no terminal to ask at
    assert "API key" in nothing_is_lost(make, tmp_path / "out", untracked, capsys, {"wandb": {"mode": "online"}})


def test_a_run_of_ones_own_stays_open(make, tmp_path, told):
    own = wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True))
    train(make.tiny(train=SHORT, track=TRACK), tmp_path / "out")
    own.log({"still": 1})
    assert own is wandb.run
    own.finish()


def test_how_long_it_may_take(monkeypatch):
    monkeypatch.delenv("WANDB_INIT_TIMEOUT", raising=False)
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "7")
    assert wandb_runs.bounds() == {"login_timeout": 60.0, "init_timeout": 60.0}
    settings = wandb.Settings(**wandb_runs.WAITS)
    assert all(getattr(settings, name) == seconds > 0 for name, seconds in wandb_runs.WAITS.items())


@pytest.fixture
def mute():
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:  # closed: the test is over
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", kept
        server.shutdown(socket.SHUT_RDWR)
    for each in kept:
        each.close()


@pytest.fixture
def soon_mute():
    """A server that lets a run begin, and answers nothing from there on."""
    asked, over = [], threading.Event()
    run = {"id": "r", "name": "r", "config": "{}", "historyLineCount": 0}
    run["project"] = {"name": "mmsa", "entity": {"name": "me"}}

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            if len(asked) > BEGUN:
                over.wait()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"upsertBucket": {"bucket": run, "inserted": True}}}).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        over.set()
        server.shutdown()


@pytest.mark.parametrize("server", ["mute", pytest.param("soon_mute", marks=pytest.mark.slow)])
def test_a_server_that_never_answers(make, tmp_path, untracked, server, request):
    url, connections = request.getfixturevalue(server)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_file.dump(make.tiny(seeds=[1, 2], train=SHORT, track={"wandb": {"mode": "online"}})))
    own = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40, "WANDB_INIT_TIMEOUT": "2", "WANDB_FINISH_TIMEOUT": "2"}
    own["WANDB_ERROR_REPORTING"] = "false"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **own, "HOME": str(tmp_path)}
    start = [sys.executable, "-m", "mmsa_core"]

    def ran(*line):
        done = subprocess.run([*start, *line], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("warning:") == done.stdout.count(WARNED) == 1
        assert "Traceback" not in done.stdout + done.stderr

    out = tmp_path / "out"
    ran("train", str(recipe), "--out", str(out), "--jobs", "1")
    assert len(connections) > (BEGUN if server == "soon_mute" else 0)
    assert [content(out / f"seed-{seed}") for seed in (1, 2)] == untracked
    if server == "mute":  # at its beginning an evaluation is told as a training is
        ran("evaluate", str(out), "--protocol", "inter", "--track")
        assert (out / "evaluate-corrkd-inter.csv").is_file()


def test_a_log_that_cannot_be_written_ends_the_training(make, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonLines, "rows", full)
    with pytest.raises(UserError, match="No space left on device"):
        train(make.tiny(train=SHORT), tmp_path / "out")
    assert not (tmp_path / "out" / "seed-1" / "results.json").exists()


def test_the_rows_are_written_before_they_are_sent(make, tmp_path, told):
    def killed(*_, **__):
        raise KeyboardInterrupt

    told.setattr(wandb.Run, "log", killed)
    with pytest.raises(Interrupted, match=r"mmsa resume .*out goes on, or the same command with --out .*out --resume$"):
        train(make.tiny(train=SHORT, track=TRACK), tmp_path / "out")
    rows = (tmp_path / "out" / "seed-1" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1]
