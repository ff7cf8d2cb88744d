"""Run folders: what is written, that a model is rebuilt from its folder alone, and trackers that fail."""

import csv
import json

import pytest
import torch
import yaml

from mmsa_core import metrics
from mmsa_core.corpora import batching, data
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import evaluation, protocol_file, scores
from mmsa_core.evaluation.asking import predict
from mmsa_core.run_folder import checkpoint
from mmsa_core.run_folder.checkpoint import atomic
from mmsa_core.tracking import tracking
from mmsa_core.training import experiment, seed_run

CPU = torch.device("cpu")


def run(recipe, folder):
    return experiment.train(recipe, folder, CPU, "mmsa train test.yaml", Display())


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_folder(make, tmp_path):
    recipe = make.corrkd(seeds=[3, 4])
    folder = run(recipe, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["results.json", "seed-3", "seed-4"]
    one = folder / "seed-3"
    expected = ["distillers.safetensors", "metrics.jsonl", "predictions.csv", "provenance.json", "recipe.yaml"]
    expected += ["results.json", "student.safetensors", "teacher.safetensors", "test_evaluations.jsonl"]
    assert sorted(path.name for path in one.iterdir()) == expected
    assert yaml.safe_load((one / "recipe.yaml").read_text())["seeds"] == [3]
    about = json.loads((one / "provenance.json").read_text())
    assert about["command"] == "mmsa train test.yaml"
    assert about["seed"] == 3
    assert about["splits"] == {"train": 22, "valid": 9, "test": 11}
    assert {"torch", "mmsa-core", "python"} <= set(about["versions"])
    rows = rows_of(one / "metrics.jsonl")
    assert {row["stage"] for row in rows} == {"teacher", "student"}
    assert sum("best" in row for row in rows) == 4  # two epochs of two stages
    with (one / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert list(predictions[0]) == ["id", "seen", "prediction", "target"]
    assert len(predictions) == 11
    results = json.loads((folder / "results.json").read_text())
    assert results["seeds"] == [3, 4]
    assert list(results["conditions"]) == ["valid_masked", "valid_complete", "test_masked", "test_complete"]
    mae = results["conditions"]["test_complete"]["mae"]
    assert mae["mean"] == pytest.approx(sum(mae["values"]) / 2)
    assert list(results["references"]) == ["constant", "all negative", "all positive", "random"]


def test_a_model_is_rebuilt_from_its_folder_alone(make, tmp_path):
    recipe = make.corrkd()
    one = run(recipe, tmp_path / "out") / "seed-1"
    (one / "teacher.safetensors").unlink()
    loaded = checkpoint.load(one)
    split = data.load(loaded.recipe).splits["test"]
    logits, _ = predict(loaded.model, split, recipe.task, [data.NO_DRAW], None)
    with (one / "predictions.csv").open() as file:
        written = [float(row["prediction"]) for row in csv.DictReader(file)]
    assert recipe.task.prediction(logits)["prediction"] == pytest.approx(written, abs=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("average", ["none", "ema"])
def test_a_run_on_cuda(make, tmp_path, average):
    cuda, train = torch.device("cuda"), {"epochs": 2, "batch_size": 8, "average": average}
    folder = experiment.train(make.corrkd(train=train), tmp_path / "out", cuda, "test", Display())
    runs = [checkpoint.load(path) for path in checkpoint.seed_folders(folder)]
    loaded = data.load(runs[0].recipe)
    names = ("text", "audio", "vision")
    conditions, draw = protocol_file.get("inter", names).conditions, data.NO_DRAW
    split = loaded.splits["test"]
    found = scores.answers(runs[0].model.to(cuda), batching.to_device(split, cuda), conditions, draw, 256)
    wanted = scores.answers(runs[0].model.cpu(), split, conditions, draw, 256)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_two_runs_are_the_same(make, tmp_path):
    one, other = (run(make.corrkd(), tmp_path / name) / "seed-1" for name in ("one", "other"))
    for name in ("metrics.jsonl", "predictions.csv", "results.json", "student.safetensors", "recipe.yaml"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_folder_that_holds_something_is_left_alone(make, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something, and nothing is overwritten"):
        run(make.tiny(), out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_default_folders_are_numbered(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [run(make.tiny(train={"epochs": 1, "batch_size": 22}), None) for _ in range(3)]
    assert [str(name) for name in names] == ["runs/tiny", "runs/tiny-2", "runs/tiny-3"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", b"x" * 100])
def test_damaged_weights_are_refused(make, tmp_path, damage):
    one = run(make.tiny(), tmp_path / "out") / "seed-1"
    (one / "student.safetensors").write_bytes(damage)
    with pytest.raises(UserError, match=r"student\.safetensors"):
        checkpoint.load(one)


def test_weights_of_another_recipe_are_refused(make, tmp_path):
    one = run(make.tiny(), tmp_path / "out") / "seed-1"
    text = (one / "recipe.yaml").read_text()
    (one / "recipe.yaml").write_text(text.replace("dim: 8", "dim: 4"))
    with pytest.raises(UserError, match="does not fit the recipe beside it"):
        checkpoint.load(one)


def test_evaluation_of_two_seeds(make, tmp_path):
    folder = run(make.tiny(seeds=[1, 2]), tmp_path / "out")
    runs = [checkpoint.load(path) for path in checkpoint.seed_folders(folder)]
    loaded = data.load(runs[0].recipe)

    def evaluated(name, *modalities):
        return evaluation.evaluate(runs, loaded, "test", protocol_file.get(name, modalities), CPU).summary()

    found = evaluated("inter", "text", "audio", "vision")
    whole = found["conditions"]["text+audio+vision"]["mae"]
    for run_, value in zip(runs, whole["values"], strict=True):
        assert value == pytest.approx(run_.results["conditions"]["test_complete"]["mae"])
    average = found["averages"]["avg6"]["mae"]
    by_hand = [sum(found["conditions"][c]["mae"]["values"][i] for c in found["averaged"]["avg6"]) / 6 for i in range(2)]
    assert average["values"] == pytest.approx(by_hand)
    intra = evaluated("intra", "text")
    assert intra["conditions"]["0.0"]["mae"]["values"] == pytest.approx(whole["values"])
    nothing = intra["conditions"]["1.0"]
    assert nothing["corr"]["mean"] is None  # one answer for every sample: undefined, not 0
    assert nothing["auc_non0"]["mean"] == 0.5


def test_averages_and_summaries_say_what_is_undefined():
    assert metrics.average([{"a": 1.0, "b": None}, {"a": 2.0, "b": 1.0}]) == {"a": 1.5, "b": None}
    found = evaluation.summarize([{"a": 1.0, "b": None}, {"a": 3.0, "b": 1.0}])
    assert found["a"] == {"mean": 2.0, "std": pytest.approx(2**0.5), "values": [1.0, 3.0]}
    assert found["b"] == {"mean": None, "std": None, "values": [None, 1.0]}
    assert evaluation.summarize([{"a": 1.0}])["a"]["std"] is None


class Broken:
    """A tracker that works until told otherwise."""

    def __init__(self, fails):
        self.fails, self.seen = fails, 0

    def rows(self, rows):
        if "rows" in self.fails:
            raise OSError("the disk is gone")
        self.seen += len(rows)

    def finish(self, results):
        if "finish" in self.fails:
            raise RuntimeError

    def fail(self):
        self.closed = True


def test_trackers_that_fail_are_switched_off(tmp_path):
    warnings = []
    switches = tracking.Switches(warnings.append)
    log = tracking.JsonLines(tmp_path / "metrics.jsonl")
    trackers = tracking.Trackers(log, switches)
    good, bad = Broken(()), Broken(("rows",))
    trackers.add("good", lambda: good)
    trackers.add("bad", lambda: bad)
    trackers.add("late", lambda: Broken(("finish",)))
    trackers.add("never", lambda: 1 / 0)
    for _ in range(3):
        trackers.rows("student", [{"step": 1}])
    trackers.finish({})
    assert good.seen == 3
    assert bad.closed
    assert len(log.path.read_text().splitlines()) == 3
    assert len(warnings) == 3
    assert "tracker never failed and is switched off; all else goes on (division by zero)" in warnings[0]
    assert "the disk is gone" in warnings[1]
    again = tracking.Trackers(log, switches)  # of the next seed
    again.add("never", lambda: pytest.fail("it is not tried again"))
    assert len(warnings) == 3


def test_wandb_that_cannot_start_stops_nothing(make, tmp_path, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise RuntimeError("no network")

    monkeypatch.setattr(seed_run, "WandbTracker", refuse)
    folder = run(make.tiny(track={"wandb": {}}), tmp_path / "out")
    assert (folder / "seed-1" / "results.json").is_file()
    assert "tracker W&B failed and is switched off; all else goes on (no network)" in capsys.readouterr().out
