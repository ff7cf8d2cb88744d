"""Ablations: what can be left out, that variants are those recipes, and the tables of their differences."""

import csv
import json

import pytest
import torch
import yaml

from mmsa_core.ablation import ablation, ablation_tables
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.training import experiment, resume

SHORT = {"epochs": 1, "batch_size": 22, "lr": 1e-3, "clip": 1.0}


@pytest.fixture(scope="module")
def recipe(make):
    pooled = {"name": "pooled"}
    model = {"dim": 8, "encoders": {"text": pooled, "audio": pooled, "vision": pooled}, "fusion": {"name": "concat"}}
    return make.corrkd(seeds=[1, 2], train=SHORT, model=model)


def test_variants(recipe):
    drops = ["masker", "train.clip", "teacher+distillers", "distillers.cpd"]
    found = ablation.variants(recipe, drops, ["distillers", "model.encoders"])
    assert [each.name for each in found] == [
        *("full", "without-masker", "without-clip", "without-teacher+distillers", "without-cpd"),
        *("without-scd", "without-rcd", "without-text", "without-audio", "without-vision"),
    ]
    by_name = {each.name: each.recipe for each in found}
    assert by_name["full"] == recipe
    assert by_name["without-masker"] == recipe.model_copy(update={"masker": None})
    assert by_name["without-clip"].train.clip is None
    assert by_name["without-scd"] == recipe_file.build(
        recipe.model_dump(mode="json"), ["distillers.scd=null"], "by hand"
    )
    plain = by_name["without-teacher+distillers"]
    assert (plain.teacher.kind, plain.distillers) == ("none", {})
    assert list(by_name["without-audio"].model.encoders) == ["text", "vision"]
    assert next(each for each in found if each.name == "without-teacher+distillers").dropped == (
        "teacher",
        "distillers",
    )


def test_parts_of_one_name_are_told_apart_by_their_paths(make):
    recipe = make.tiny(teacher={"kind": "trained", "train": SHORT}, train=SHORT)
    names = [each.name for each in ablation.variants(recipe, ["train.clip", "teacher.train.clip"])]
    assert names == ["full", "without-train.clip", "without-teacher.train.clip"]


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("distillers.sdc", "there is no part 'sdc' in distillers. Did you mean 'scd'? Found: scd, cpd, rcd"),
        ("distilers.scd", "there is no part 'distilers'. Did you mean 'distillers'?"),
        ("seeds", "there is no part 'seeds'"),
        ("evaluate", "there is no part 'evaluate'"),
        (
            "train.epochs",
            "cannot do without it (another value is given with --set). Near it can be left out: train.clip",
        ),
        ("model.encoders", "Near it can be left out: model.encoders.text, model.encoders.audio"),
        ("train.lr", "cannot do without it"),
        ("train.patience", "has it as it is by default, so that there is nothing to leave out"),
        ("train.lr.x", "there is no part 'x' in train.lr. Found: nothing"),
        ("", "there is no part ''"),
        ("masker+distillers.sdc", "there is no part 'sdc' in distillers"),
    ],
)
def test_what_cannot_be_left_out(recipe, drop, says):
    with pytest.raises(UserError) as caught:
        ablation.variants(recipe, [drop])
    assert says in str(caught.value)


def test_what_has_no_entries(recipe, make):
    for each in ("train", "masker", "distillers.scd"):
        with pytest.raises(UserError, match=f"--each {each}: expected a part with named entries"):
            ablation.variants(recipe, [], [each])
    with pytest.raises(UserError, match="--each distillers: expected a part with named entries"):
        ablation.variants(make.tiny(), [], ["distillers"])
    with pytest.raises(UserError, match="nothing to leave out"):
        ablation.variants(recipe, [])


def test_differences_by_hand():
    full = {"a": {"f1": {"mean": 2.0, "std": 1.0, "values": [1.0, 3.0]}, "corr": {"values": [None, 0.5]}}, "b": {}}
    other = {"a": {"f1": {"mean": 4.0, "std": 0.0, "values": [4.0, 4.0]}, "corr": {"values": [0.25, 0.25]}}, "c": {}}
    found = ablation_tables.difference(full, other)
    assert list(found) == ["a"]
    assert found["a"]["f1"] == {"mean": 2.0, "std": pytest.approx(2**0.5), "values": [3.0, 1.0]}
    assert found["a"]["corr"] == {"mean": None, "std": None, "values": [None, -0.25]}


def test_the_command(mmsa, recipe, tmp_path):
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    start = ["ablate", "recipe.yaml", "--jobs", "1", "--out", "out", "--protocol", "inter"]
    first = mmsa(*start, "--drop", "distillers.scd")
    assert first.exit_code == 0, first.output
    out = tmp_path / "out"
    made = {path.name for path in out.iterdir()}
    assert made == {"full", "without-scd", "ablation-corrkd-inter.csv", "ablation-corrkd-inter.json"}
    by_hand = {
        "full": recipe,
        "without-scd": recipe_file.build(recipe.model_dump(mode="json"), ["distillers.scd=null"], ""),
    }
    for name, each in by_hand.items():  # the same seeds, initial weights, batch order and masks
        other = experiment.train(each, tmp_path / name, torch.device("cpu"), "test", Display())
        for seed in (1, 2):
            one = out / name / f"seed-{seed}" / "student.safetensors"
            assert one.read_bytes() == (other / f"seed-{seed}" / "student.safetensors").read_bytes()
    found = json.loads((out / "ablation-corrkd-inter.json").read_text())
    assert list(found["variants"]) == ["full", "without-scd"]
    full, without = (found["variants"][name]["averages"]["avg6"]["mae"]["values"] for name in by_hand)
    change = found["differences"]["without-scd - full"]["avg6"]["mae"]
    assert change["values"] == pytest.approx([b - a for a, b in zip(full, without, strict=True)])
    assert change["mean"] == pytest.approx(sum(change["values"]) / 2)
    rows = list(csv.DictReader((out / "ablation-corrkd-inter.csv").read_text().splitlines()))
    (row,) = (r for r in rows if (r["variant"], r["condition"], r["metric"]) == ("without-scd - full", "avg6", "mae"))
    assert [float(row["seed 1"]), float(row["seed 2"])] == change["values"]
    for said in (
        "avg6 of protocol corrkd-inter: mean ± std of 2 seeds",
        "without-scd - full",
        "constant",
        "ablation: out",
    ):
        assert said in first.output

    assert "without-scd against full, avg6: " in first.output
    assert "seeds: 1, 2, paired" in first.output
    tested = found["comparison"]
    assert (tested["baseline"], list(tested["runs"])) == ("full", ["full", "without-scd"])
    (test,) = (r for r in tested["comparisons"] if (r["condition"], r["metric"]) == ("avg6", "mae"))
    assert test["difference"] == pytest.approx(change["mean"])
    assert test["low"] <= test["difference"] <= test["high"]

    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = mmsa(*start, "--resume", "--drop", "distillers.scd", "--drop", "model.encoders.audio")
    assert again.exit_code == 0, again.output
    assert again.output.count("finished, and kept as they are: seed-1, seed-2") == 2
    assert resume.is_finished(out / "without-audio" / "seed-2")
    assert list(
        yaml.safe_load((out / "without-audio" / "seed-1" / "recipe.yaml").read_text())["model"]["encoders"]
    ) == [*("text", "vision")]
    kept = [
        path for path in before if path.name in ("student.safetensors", "provenance.json", "ablation-corrkd-inter.csv")
    ]
    assert len(kept) == 9
    assert all(path.read_bytes() == before[path] for path in kept)
    again_found = json.loads((out / "ablation-corrkd-inter-2.json").read_text())
    assert list(again_found["comparison"]["runs"]) == ["full", "without-scd"]
    assert "without-audio" in again_found["variants"]
    assert "note: without-audio: has no avg6, since its model reads other modalities" in again.output
    assert (out / "ablation-corrkd-inter-2.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--drop", "distillers.scd", "--drop", "teacher"],
            "needs a teacher; set for example teacher.kind: trained",
        ),
        (["--drop", "distillers.scd", "--protocol", "outer"], "outer"),
        (["--drop", "distillers.scd", "--set", "model.dim=0"], "model.dim"),
        (["--drop", "distillers.scd", "--resume"], "--resume: name the folder of the ablation"),
        (["--drop", "distillers.nothing"], "there is no part 'nothing'"),
        ([], "nothing to leave out"),
        (["--drop", "masker", "--set", "task={kind: none}", "--set", "teacher={kind: none}"], "nothing to compare"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(mmsa, recipe, tmp_path, arguments, says):
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(recipe))
    result = mmsa("ablate", "recipe.yaml", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_teacher_that_no_term_needs_is_said(mmsa, make, tmp_path):
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(make.corrkd(train=SHORT, distillers={"kd": {"name": "kd"}})))
    result = mmsa("ablate", "recipe.yaml", "--each", "distillers", "--jobs", "1", "--protocol", "inter")
    assert result.exit_code == 0, result.output
    assert "without-kd: no term needs its teacher" in result.output
    assert "--drop teacher+distillers.kd leaves it out too" in result.output
    assert result.output.rstrip().endswith("ablation: runs/tiny-ablation")
