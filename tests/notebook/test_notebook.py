"""The names of `mmsa_core` that a notebook calls."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import mmsa_core
from mmsa_core.notebook.table import Table
from mmsa_core.types import Batch, Encoded, Outputs

POOLED = {"name": "pooled"}
RECIPE = {
    "name": "tiny",
    "data": {
        "name": "synthetic",
        "samples": [22, 9, 11],
        "length": [3, 6],
        "channels": {"text": 12, "audio": 5, "vision": 8},
    },
    "task": {"kind": "regression"},
    "model": {"dim": 4, "encoders": {"text": POOLED, "audio": POOLED}, "fusion": {"name": "concat"}},
    "train": {"epochs": 1, "batch_size": 8},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("notebook") / "run"
    return mmsa_core.train(RECIPE, out=out, quiet=True, seeds=[1, 2])


def in_a_process_of_its_own(code, **settings):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **settings)


def test_importing_it_imports_no_torch():
    code = (
        "import sys, mmsa_core; mmsa_core.registry; mmsa_core.UserError; print({'torch', 'numpy'} & set(sys.modules))"
    )
    assert in_a_process_of_its_own(code).stdout == "set()\n"
    assert set(mmsa_core.__all__) <= set(dir(mmsa_core))
    assert all(getattr(mmsa_core, name) is not None for name in mmsa_core.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'trian'; it has .*train"):
        mmsa_core.trian


def test_a_recipe_is_a_path_a_dict_or_an_object(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(str(RECIPE))  # YAML has JSON's and Python's flow form
    found = mmsa_core.recipe(RECIPE)
    assert mmsa_core.recipe(path) == mmsa_core.recipe(str(path)) == mmsa_core.recipe(found) == found
    changed = mmsa_core.recipe(found, ["train.lr=1e-4"], seeds=[7, 8], model__encoders__text__layers=1)
    assert (changed.train.lr, changed.seeds, changed.model.encoders["text"].layers) == (1e-4, (7, 8), 1)
    assert (
        repr(found)
        == str(found)
        == (
            "<Recipe tiny: data synthetic; task regression; text: pooled, audio: pooled; fusion concat; teacher none; "
            "masker none; terms none; seeds 1111>"
        )
    )
    with pytest.raises(mmsa_core.UserError, match=r"--set train\.epoch=2: train\.epoch: unknown key"):
        mmsa_core.recipe(RECIPE, train__epoch=2)


def test_a_recipe_takes_numbers_of_numpy_and_ranges():
    learning_rate = np.logspace(-3, -2, 2)[1]
    changed = mmsa_core.recipe(RECIPE, train__lr=learning_rate, data__samples=np.array([8, 4, 4]), seeds=range(2))
    assert (changed.train.lr, changed.data.samples, changed.seeds) == (0.01, (8, 4, 4), (0, 1))
    assert mmsa_core.recipe({**RECIPE, "seeds": [np.int64(3)]}).seeds == (3,)


def test_mistakes_are_said(run):
    with pytest.raises(mmsa_core.UserError, match="expected a list, such as"):
        mmsa_core.recipe(RECIPE, "train.lr=1e-4")
    for call in (run.evaluate, lambda **given: mmsa_core.compare(run, against="other", **given)):
        with pytest.raises(mmsa_core.UserError, match="expected 'valid' or 'test', found 'dev'"):
            call(split="dev")
    with pytest.raises(mmsa_core.UserError, match=r"unknown metric 'mea'\. Did you mean 'mae'"):
        run.evaluate("inter").metric("mea")
    with pytest.raises(mmsa_core.UserError, match="no seed '1'; it holds 1, 2"):
        run.seed("1")


def test_a_run_is_what_the_commands_make_of_it(run, mmsa):
    assert run.seeds == (1, 2)
    assert repr(run).startswith(f"<Run tiny in {run.folder}: seeds 1, 2\n  valid_complete: f1_non0 ")
    assert run.table.height == len(run.table["metric"]) > 20
    done = mmsa("evaluate", run.folder, "--protocol", "inter", "--json", "inter.json")
    assert done.exit_code == 0, done.output
    evaluated = run.evaluate("inter")
    assert evaluated.summary == mmsa_core.load_run(run.folder).evaluate("inter").summary
    assert evaluated.metric("mae")["text+audio"] == run.results["test_complete"]["mae"]["mean"]
    assert repr(evaluated).startswith(
        "<Evaluation of tiny: protocol corrkd-inter, test split (11 samples), seeds 1, 2;"
    )
    with pytest.raises(mmsa_core.UserError, match=r"holds the seeds 1, 2; choose one, such as run\.seed\(1\)\.predict"):
        run.predict("new.pkl")
    one = run.seed(2)
    assert one.model.encoders["text"].training is False
    assert {row["stage"] for row in one.log} == {"student"}


def test_a_file_and_a_corpus_are_predicted(run, mmsa, tmp_path, capsys):
    made = mmsa("data", "make", "synthetic", "new.pkl", "--format", "mmsa-pickle")
    assert made.exit_code == 0, made.output
    done = mmsa("predict", run.seed(1).folder, "new.pkl", "--split", "test", "--out", "new.csv")
    assert done.exit_code == 0, done.output
    found = mmsa_core.predict(run.seed(1), tmp_path / "new.pkl", split="test")
    lines = [line.split(",") for line in Path("new.csv").read_text().splitlines()]
    assert list(found) == lines[0]
    assert [str(value) for value in found["prediction"]] == [line[3] for line in lines[1:]]
    width = run.seed(1).loaded[0].channels["text"]
    corpus = mmsa_core.from_arrays({"text": [np.ones((2, width)), None]}, ["new", "new"], {})
    few = mmsa_core.predict(run.seed(1).folder, corpus)
    assert few["seen"] == ["text", ""]
    assert "audio is not in the file and counts as missing" in capsys.readouterr().err


def test_a_corpus_in_memory_is_trained_on_and_evaluated(tmp_path):
    rng = np.random.default_rng(0)
    splits = ["train"] * 12 + ["valid"] * 6 + ["test"] * 6
    features = {"text": rng.normal(size=(24, 3, 5)), "audio": rng.normal(size=(24, 2, 4))}
    corpus = mmsa_core.from_arrays(features, splits, {"score": rng.uniform(-3, 3, size=24).astype(np.float32)})
    recipe = RECIPE | {"data": {"name": "arrays"}}
    found = mmsa_core.train(recipe, corpus=corpus, out=tmp_path / "run", quiet=True)
    assert found.evaluate("inter", split="valid").summary["samples"] == 6


def test_torch_keeps_its_threads_and_signals_their_handlers(tmp_path):
    before = torch.get_num_threads()
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    torch.set_num_threads(2)
    try:
        mmsa_core.train(RECIPE, out=tmp_path / "run", quiet=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]


def test_a_thread_that_is_not_the_first_trains_too(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(mmsa_core.train(RECIPE, out=tmp_path / "run", quiet=True)))
    thread.start()
    thread.join()
    assert found[0].seeds == (1111,)


def test_ctrl_c_saves_raises_and_can_go_on(tmp_path):
    out = tmp_path / "run"
    recipe = RECIPE | {"train": {"epochs": 10_000, "batch_size": 8}}
    begun = out / "seed-1111" / "metrics.jsonl"

    def press():
        while not (begun.is_file() and begun.stat().st_size > 2000):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(mmsa_core.Interrupted) as stopped:
        mmsa_core.train(recipe, out=out, quiet=True)
    assert str(stopped.value) == (
        f"what was done is saved; the same call with out={str(out)!r} and resume=True goes on"
    )
    assert stopped.value._render_traceback_() == [f"stopped; {stopped.value}"]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(mmsa_core.UserError) as refused:
        mmsa_core.load_run(out)
    assert refused.value._render_traceback_() == [
        f"error: {out} holds no finished run (no student.safetensors in it or in its seed-* folders)"
    ]


def test_tables_are_columns():
    table = Table.of(["name", "value"], [[f"<{n}>", n / 3] for n in range(12)])
    assert dict(table) == {"name": [f"<{n}>" for n in range(12)], "value": [n / 3 for n in range(12)]}
    lines = repr(table).splitlines()
    assert (lines[0], lines[2], lines[-1]) == ("name  value", "<1>   0.3333", "... 2 more of 12 rows")
    assert "<tr><td>&lt;1&gt;</td><td>0.3333</td></tr>" in table._repr_html_()
    assert repr(Table.of(["a"], [])) == "a"
    assert list(Table.of(["a", "b"], [[1, None]]).rows) == [{"a": 1, "b": None}]


def test_batches_and_outputs_show_shapes_and_no_numbers():
    x, seen = torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
    batch = Batch({"text": x}, {"text": seen}, torch.zeros(2), torch.arange(2), torch.arange(2))
    assert repr(batch) == (
        "Batch(features={text: float32 [2, 3, 4]}, observed={text: bool [2, 3]}, target=float32 [2], index=int64 [2], "
        "key=int64 [2])"
    )
    outputs = Outputs({"text": Encoded(x, seen, x[:, 0])}, x[:, 0], x[:, 0, :1])
    assert "pooled=float32 [2, 4])}, joint=float32 [2, 4], logits=float32 [2, 1])" in repr(outputs)
