"""What Weights & Biases is told, read from the files of offline runs; and that it stops nothing."""

import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from mmsa_core.display import Display
from mmsa_core.edges import figures
from mmsa_core.evaluation import reports
from mmsa_core.tracking import wandb_mode, wandb_runs, wandb_tracking
from mmsa_core.training import experiment

sys.path.insert(0, str(Path(__file__).parent))
from wandb_file import runs

CPU = torch.device("cpu")
TRACK = {"wandb": {"project": "mine", "mode": "offline", "tags": ["a", "b"]}}


def train(recipe, folder, **options):
    return experiment.train(recipe, folder, CPU, "test", Display(), **options)


@pytest.fixture(scope="module")
def folder(make, tmp_path_factory):
    return train(make.corrkd(track=TRACK, seeds=[3, 4]), tmp_path_factory.mktemp("wandb") / "group")


@pytest.fixture(scope="module")
def told(folder):
    return {run.run.display_name: run for run in runs(folder)}


def lines(folder, stage):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["stage"] == stage]


def test_a_run_for_each_stage_and_seed_and_one_over_the_seeds(told):
    assert list(told) == ["tiny-3-teacher", "tiny-3-student", "tiny-4-teacher", "tiny-4-student", "tiny-aggregate"]
    for name, run in told.items():
        assert run.run.job_type == name.split("-")[-1]
        assert run.run.run_group == "group"
        assert (run.run.project, list(run.run.tags), run.exit_code) == ("mine", ["a", "b"], 0)
    assert told["tiny-4-student"].config["seed"] == 4
    assert told["tiny-4-student"].config["train"]["batch_size"] == 8
    assert "seed" not in told["tiny-aggregate"].config


@pytest.mark.parametrize("stage", ["teacher", "student"])
def test_the_curves_are_those_of_metrics_jsonl(folder, told, stage):
    run, rows = told[f"tiny-3-{stage}"], lines(folder / "seed-3", stage)
    for name in ("loss/total", "valid/loss", "lr"):
        assert run.series(f"{stage}/{name}") == [row[name] for row in rows if name in row]
    assert not [
        name
        for row in run.history
        for name in row
        if name.startswith(("teacher/", "student/")) and not name.startswith(stage)
    ]
    epochs = [row for row in rows if "best" in row]
    best = [row for row in epochs if row["best"]][-1]
    assert run.summary["best/epoch"] == best["epoch"]
    assert run.summary["best/valid/loss"] == best["valid/loss"]
    assert run.summary[f"{stage}/valid/loss"] == epochs[-1]["valid/loss"]


def test_the_results_are_a_table_and_in_the_summary(folder, told):
    run, results = told["tiny-3-student"], json.loads((folder / "seed-3" / "results.json").read_text())
    assert run.summary["test_complete/mae"] == results["conditions"]["test_complete"]["mae"]
    rows = run.table("results")
    assert [row["condition"] for row in rows] == list(results["conditions"])
    assert {name: rows[3][name] for name in results["conditions"]["test_complete"]} == results["conditions"][
        "test_complete"
    ]


def test_mean_and_deviation_over_the_seeds(folder, told):
    run, results = told["tiny-aggregate"], json.loads((folder / "results.json").read_text())
    mae = results["conditions"]["test_masked"]["mae"]
    assert (run.summary["test_masked/mae"], run.summary["test_masked/mae std"]) == (mae["mean"], mae["std"])
    rows = run.table("results")
    assert (rows[2]["condition"], rows[2]["mae"], rows[2]["mae std"]) == ("test_masked", mae["mean"], mae["std"])
    assert [row["predictor"] for row in run.table("references")] == list(results["references"])


def test_recipe_and_model_are_artifacts(told):
    model = ("model", ["provenance.json", "recipe.yaml", "results.json", "student.safetensors"])
    assert told["tiny-3-student"].artifacts["tiny-3-student"] == model
    assert told["tiny-3-student"].artifacts["tiny-3-recipe"] == ("recipe", ["recipe.yaml"])
    assert told["tiny-aggregate"].artifacts["tiny-recipe"] == ("recipe", ["recipe.yaml"])
    assert not [name for name, (kind, _) in told["tiny-3-teacher"].artifacts.items() if kind == "model"]


@pytest.mark.needs("mmsa-dmd")
def test_edges_are_pictures(make, tmp_path):
    graph = {"name": "dmd.graph", "nodes": "heterogeneous"}
    fusion = {"name": "dmd.decoupled", "heads": 2, "layers": 1}
    encoders = {m: {"name": "projection", "kernel": 1} for m in ("text", "audio", "vision")}
    recipe = make.tiny(
        track=TRACK,
        masker=None,
        teacher={"kind": "self"},
        distillers={"who": graph},
        train={"epochs": 1, "batch_size": 22},
        model={"dim": 8, "encoders": encoders, "fusion": fusion},
    )
    (run,) = runs(train(recipe, tmp_path / "out"))
    path = run.last("edges/who.path")
    assert (run.folder / "files" / path).read_bytes() == (tmp_path / "out/seed-1/edges-who-valid.png").read_bytes()


def test_what_is_resumed_goes_on_in_the_same_runs(make, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "group", symlinks=True)
    before = {name: json.loads((copy / name / "wandb.json").read_text()) for name in ("seed-3", "seed-4", "")}
    (copy / "seed-4" / "results.json").unlink()
    train(make.corrkd(track=TRACK, seeds=[3, 4]), copy, resumed=True)
    assert {name: json.loads((copy / name / "wandb.json").read_text()) for name in before} == before
    (again,) = [run for run in runs(copy / "seed-4") if run.run.job_type == "student"]
    assert again.run.run_id == before["seed-4"]["student"]
    both = [run.run.run_id for run in runs(copy) if run.run.job_type == "aggregate"]
    assert both == [before[""]["aggregate"]] * 2


def evaluated(run, protocols=("inter", "intra"), split="test"):
    reports.evaluate(run, protocols, split, None, [], CPU, Display(), track=True)


def test_an_evaluation_is_a_run_with_tables_and_pictures(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "group", symlinks=True, ignore=shutil.ignore_patterns("wandb"))
    evaluated(copy)
    (run,) = runs(copy)
    assert (run.run.job_type, run.run.run_group, run.run.display_name) == ("eval", "group", "tiny-eval")
    found = reports.evaluations(copy, ["inter"], "test", [], CPU, Display())[0].summary()
    rows = run.table("corrkd-inter/table")
    assert [row["seen"] for row in rows] == [*found["conditions"], "avg6"]
    average = found["averages"]["avg6"]["mae"]
    assert (rows[-1]["mae"], rows[-1]["mae std"]) == (average["mean"], average["std"])
    assert run.summary["corrkd-inter/avg6/mae"] == average["mean"]
    assert [row["predictor"] for row in run.table("corrkd-intra/references")] == list(found["references"])
    for name in ("corrkd-inter/confusion", "corrkd-intra/confusion", "corrkd-intra/curves"):
        assert (run.folder / "files" / run.last(f"{name}.path")).read_bytes().startswith(b"\x89PNG")
        assert run.last(f"{name}.width") > 500
    assert "corrkd-inter/curves.path" not in {name for row in run.history for name in row}  # it has no rates

    evaluated(copy, ["inter"], "valid")  # later evaluations go on in the same run
    first, second = runs(copy)
    assert first.run.run_id == second.run.run_id
    assert second.table("corrkd-inter-valid/table")[0]["mae"] != rows[0]["mae"]


def test_the_edges_of_every_seed_are_told(folder, tmp_path):
    copy = shutil.copytree(folder / "seed-3", tmp_path / "group" / "seed-3", ignore=shutil.ignore_patterns("wandb"))
    picture = figures.png("who", ["a", "b"], {("a", "b"): 1.0})
    (copy / "edges-who.png").write_bytes(picture)
    evaluated(copy, ["inter"])
    (run,) = runs(copy)
    assert run.run.run_group == "group"
    assert (run.folder / "files" / run.last("edges/seed-3/who.path")).read_bytes() == picture


def test_a_run_without_track_can_be_told_too(make, tmp_path, monkeypatch, capsys):
    folder = train(make.tiny(train={"epochs": 1, "batch_size": 22}), tmp_path / "out")
    evaluated(folder, ["inter"])
    (run,) = runs(folder)
    assert (run.run.project, run.run.job_type, run.run.run_group) == ("mmsa", "eval", "out")
    monkeypatch.setattr(wandb_runs, "start", lambda *_: 1 / 0)
    evaluated(folder, ["intra"])
    assert "tracker W&B failed and is switched off; all else goes on (division by zero)" in capsys.readouterr().out
    assert (folder / "evaluate-corrkd-intra.csv").is_file()


def test_a_training_that_ends_early_is_told(make, tmp_path):
    recipe = make.tiny(track=TRACK, train={"epochs": 3, "batch_size": 8, "lr": 1e30})
    with pytest.raises(Exception, match="became"):
        train(recipe, tmp_path / "out")
    (run,) = runs(tmp_path / "out")
    assert run.exit_code == 1


def test_a_group_of_ones_own(make, tmp_path):
    track = {"wandb": TRACK["wandb"] | {"group": "thesis"}}
    (run,) = runs(train(make.tiny(track=track, train={"epochs": 1, "batch_size": 22}), tmp_path / "out"))
    assert run.run.run_group == "thesis"


def test_the_aggregate_that_cannot_start_stops_nothing(make, tmp_path, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise RuntimeError("no network")

    monkeypatch.setattr(wandb_runs, "start", refuse)
    folder = train(make.tiny(track=TRACK, seeds=[1, 2], train={"epochs": 1, "batch_size": 22}), tmp_path / "out")
    assert (folder / "results.json").is_file()
    said = capsys.readouterr().out
    assert said.count("tracker W&B failed and is switched off; all else goes on (no network)") == 1


@pytest.mark.parametrize(("steps", "sent"), [(0, 0), (1, 1), (50, 50), (51, 26), (120, 40), (1000, 50)])
def test_a_long_epoch_is_thinned(steps, sent):
    rows = [{"step": n, "loss/total": 1.0} for n in range(steps)]
    found = wandb_tracking.thinned(rows)
    assert len(found) == sent
    assert len({b["step"] - a["step"] for a, b in pairwise(found)}) <= 1
    for row in rows[7::50]:
        row["gradient/task"] = 1.0
    assert [row for row in wandb_tracking.thinned(rows) if "gradient/task" in row] == rows[7::50]


def test_the_mode(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert wandb_mode.mode("online") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode.mode("auto") == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    assert wandb_mode.mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert wandb_mode.mode("auto") == "online"
