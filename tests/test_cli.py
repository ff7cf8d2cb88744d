"""The command line: what each command writes, and how it answers what is wrong."""

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from mmsa_core import registry
from mmsa_core.cli import main
from mmsa_core.training import experiment

RECIPE = """\
name: tiny
seeds: [1]
data: {name: synthetic, samples: [24, 12, 12], length: [3, 5], channels: {text: 6, audio: 4, vision: 5}}
task: {kind: bins, classes: 7}
model:
  dim: 8
  encoders:
    text: {name: transformer, layers: 1, heads: 2}
    audio: {name: recurrent, layers: 1}
    vision: {name: pooled}
  fusion: {name: concat}
teacher: {kind: trained}
masker: {name: modality_dropout, rate: 0.4}
distillers:
  rkd: {name: relational}
  kd: {name: kd}
  hint: {name: feature, project: false}
train: {epochs: 1, batch_size: 8}
"""
PLAIN = ["teacher.kind=none", "distillers={}", "masker=null"]
"""Overrides that leave the student alone with its task."""
POOLED = "{text: {name: pooled}, audio: {name: pooled}, vision: {name: pooled}}"
WIDTHS = {"text": 6, "audio": 4, "vision": 5}
FRAMES = 4


def overrides(*given):
    return [part for each in given for part in ("--set", each)]


def content(train=16, valid=8, test=8, seed=0):
    """A corpus in MMSA's schema, with a score that the text shows."""
    draw = np.random.default_rng(seed)
    splits = {}
    for name, rows in {"train": train, "valid": valid, "test": test}.items():
        score = draw.uniform(-3, 3, rows).round(1).astype(np.float32)
        splits[name] = {m: draw.normal(size=(rows, FRAMES, w)).astype(np.float32) for m, w in WIDTHS.items()}
        splits[name]["text"] += score[:, None, None]
        splits[name] |= {f"{m}_lengths": [FRAMES] * rows for m in ("audio", "vision")}
        splits[name] |= {"regression_labels": score, "classification_labels": np.sign(score) + 1.0}
        splits[name]["id"] = [f"{name}$_${row}" for row in range(rows)]
    return splits


class Mmsa:
    """Runs the command in a folder of its own, with a recipe and a corpus in it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        self.write("corpus.pkl", content())

    def __call__(self, *arguments):
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            result = CliRunner().invoke(main, [str(each) for each in arguments])
        finally:
            os.chdir(before)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def write(self, name, splits):
        (self.folder / name).write_bytes(splits if isinstance(splits, bytes) else pickle.dumps(splits, 4))

    def files(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def ok(self, *arguments):
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result

    def refused(self, *arguments):
        """The message of a command that is refused: exit code 2, no traceback, and nothing written."""
        before = self.files()
        result = self(*arguments)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        lines = [line for line in result.stderr.splitlines() if not line.startswith(("note: ", "warning: "))]
        assert lines
        assert all(line.startswith("error: ") for line in lines), result.stderr
        assert self.files() == before
        return "\n".join(line.removeprefix("error: ") for line in lines)


@pytest.fixture
def mmsa(tmp_path):
    return Mmsa(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which CorrKD ran with two seeds, and a plain student of the pickle with one."""
    here = Mmsa(tmp_path_factory.mktemp("trained"))
    here.output = here.ok("train", "recipe.yaml", "--seeds", "1,2", *overrides("train.epochs=2")).stdout
    pickled = overrides(*PLAIN, "name=pickled", "data.name=mmsa-pickle", "data.path=corpus.pkl")
    here.ok("train", "recipe.yaml", "--device", "cpu", *pickled)
    return here


def test_train_writes_the_run_folders(trained):
    folder = trained.folder / "runs" / "tiny"
    assert {path.name for path in folder.iterdir()} >= {"seed-1", "seed-2", "results.json"}
    expected = {
        "recipe.yaml",
        "student.safetensors",
        "teacher.safetensors",
        "distillers.safetensors",
        "metrics.jsonl",
        "results.json",
        "predictions.csv",
        "provenance.json",
    }
    for seed in (1, 2):
        assert {path.name for path in (folder / f"seed-{seed}").iterdir()} >= expected
        assert yaml.safe_load((folder / f"seed-{seed}" / "recipe.yaml").read_text())["seeds"] == [seed]
    assert {path.name for path in (trained.folder / "runs" / "pickled" / "seed-1").iterdir()} >= expected - {
        "teacher.safetensors",
        "distillers.safetensors",
    }
    rows = [json.loads(line) for line in (folder / "seed-1" / "metrics.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in rows} == {"teacher", "student"}
    assert {"loss/task", "loss/rkd", "weighted/kd", "lr"} <= {name for row in rows for name in row}
    (header, *predictions) = csv.reader((folder / "seed-1" / "predictions.csv").read_text().splitlines())
    assert header == ["id", "seen", "prediction", "target"]
    assert len(predictions) == 12
    results = json.loads((folder / "results.json").read_text())
    assert results["seeds"] == [1, 2]
    assert set(results["conditions"]) == {"valid_masked", "valid_complete", "test_masked", "test_complete"}
    value = results["conditions"]["test_complete"]["mae"]
    assert value["mean"] == pytest.approx(np.mean(value["values"]))
    assert value["std"] == pytest.approx(np.std(value["values"], ddof=1))


def test_train_shows_progress_a_table_and_the_folder(trained):
    output = trained.output
    for said in ("seed 1 (1 of 2)", "seed 2 (2 of 2)", "teacher epoch 1/2", "student epoch 2/2", "step/s", "s left"):
        assert said in output
    for said in ("rkd", "kd", "hint", "test_complete", "±", "constant", "random", "auc non0"):
        assert said in output
    assert output.rstrip().endswith("run folder: runs/tiny")
    assert "\x1b" not in output  # plain lines where there is no terminal


def test_a_second_run_gets_a_folder_of_its_own(trained):
    before = (trained.folder / "runs" / "pickled" / "results.json").read_bytes()
    result = trained.ok("train", "recipe.yaml", *overrides(*PLAIN, "name=pickled"))
    assert result.stdout.rstrip().endswith("run folder: runs/pickled-2")
    assert (trained.folder / "runs" / "pickled" / "results.json").read_bytes() == before


def test_evaluate_inter_and_intra(trained):
    result = trained.ok("evaluate", "runs/tiny", "--protocol", "inter", "--json", "inter.json")
    found = json.loads((trained.folder / "inter.json").read_text())
    assert found["protocol"] == "corrkd-inter"
    subsets = ["text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision"]
    assert list(found["conditions"]) == subsets
    assert list(found["averages"]) == ["avg6"]
    for name in ("f1_non0", "auc_non0", "positive_rate", "mae"):
        value = found["conditions"]["text+audio"][name]
        assert set(value) == {"mean", "std", "values"}
        assert len(value["values"]) == 2
    average = [np.mean([found["conditions"][s]["mae"]["values"][run] for s in subsets[:-1]]) for run in (0, 1)]
    assert found["averages"]["avg6"]["mae"]["values"] == pytest.approx(average)
    assert {"constant", "random"} <= set(found["references"])
    rows = list(
        csv.DictReader((trained.folder / "runs" / "tiny" / "evaluate-corrkd-inter.csv").read_text().splitlines())
    )
    assert list(rows[0]) == ["protocol", "condition", "metric", "mean", "std", "seed 1", "seed 2"]
    (row,) = (row for row in rows if (row["condition"], row["metric"]) == ("text+audio", "mae"))
    assert float(row["mean"]) == found["conditions"]["text+audio"]["mae"]["mean"]
    for said in (*subsets, "avg6", "constant", "evaluate-corrkd-inter.csv", "inter.json"):
        assert said in result.stdout

    trained.ok("evaluate", "runs/tiny/seed-2", "--protocol", "intra", "--split", "valid", "--json", "intra.json")
    found = json.loads((trained.folder / "intra.json").read_text())
    assert (found["protocol"], found["split"], found["seeds"]) == ("corrkd-intra", "valid", [2])
    assert list(found["conditions"]) == [f"{rate / 10:.1f}" for rate in range(11)]
    assert found["conditions"]["0.0"]["mae"]["std"] is None
    assert found["conditions"]["1.0"]["corr"]["mean"] is None  # undefined, and neither NaN nor zero
    assert (trained.folder / "runs" / "tiny" / "seed-2" / "evaluate-corrkd-intra-valid.csv").is_file()


def test_evaluate_both_protocols_into_one_file(trained):
    trained.ok("evaluate", "runs/pickled", "--json", "both.json")
    found = json.loads((trained.folder / "both.json").read_text())
    assert {name: each["protocol"] for name, each in found.items()} == {n: n for n in ("corrkd-inter", "corrkd-intra")}


def test_evaluating_other_data_is_said(trained):
    trained.write("other.pkl", content(seed=1))
    result = trained.ok("evaluate", "runs/pickled", "--protocol", "inter", *overrides("data.path=other.pkl"))
    assert "the data are not those that it was trained on" in result.stdout


def predictions(text):
    return list(csv.DictReader(text.splitlines()))


def test_predict_a_file_that_lacks_a_modality(trained):
    new = content(test=5)["test"]
    new = {key: value for key, value in new.items() if not key.startswith("vision") and "labels" not in key}
    new["audio"][1] = 0
    trained.write("new.pkl", {"test": new})
    result = trained.ok("predict", "runs/pickled", "new.pkl")
    rows = predictions(result.stdout)
    assert [row["id"] for row in rows] == [f"test$_${row}" for row in range(5)]
    assert [row["seen"] for row in rows] == ["text+audio", "text", "text+audio", "text+audio", "text+audio"]
    assert all(-3 <= float(row["prediction"]) <= 3 for row in rows)
    assert "vision" in result.stderr  # what is missing is said, beside the table
    trained.ok("predict", "runs/pickled", "new.pkl", "--out", "new.csv")
    assert predictions((trained.folder / "new.csv").read_text()) == rows
    again = trained.ok("predict", "runs/tiny/seed-1", "new.pkl", "--format", "mmsa-pickle", "--split", "test")
    assert len(predictions(again.stdout)) == 5


def test_predict_agrees_with_the_predictions_of_training(trained):
    rows = predictions(trained.ok("predict", "runs/pickled", "corpus.pkl", "--split", "test").stdout)
    kept = predictions((trained.folder / "runs" / "pickled" / "seed-1" / "predictions.csv").read_text())
    assert [row["id"] for row in rows] == [row["id"] for row in kept]
    assert [float(row["prediction"]) for row in rows] == pytest.approx([float(row["prediction"]) for row in kept])


def test_predict_nonfinite_features(trained):
    splits = content(test=3)
    splits["test"]["audio"][1, 2, 3] = np.inf
    trained.write("inf.pkl", {"test": splits["test"]})
    message = trained.refused("predict", "runs/pickled", "inf.pkl")
    assert "inf of sample 'test$_$1' (row 1, frame 2, column 3)" in message
    result = trained.ok("predict", "runs/pickled", "inf.pkl", *overrides("data.nonfinite=zero"))
    assert len(predictions(result.stdout)) == 3


def test_a_run_is_a_teacher(trained):
    arguments = overrides("teacher={run: runs/tiny}", "name=taught", "train.epochs=1")
    trained.ok("train", "recipe.yaml", "--seeds", "2", *arguments)
    kept = yaml.safe_load((trained.folder / "runs" / "taught" / "seed-2" / "recipe.yaml").read_text())
    assert os.path.isabs(kept["teacher"]["run"])


def test_list(mmsa):
    lines = mmsa.ok("list").stdout.splitlines()
    assert any(line.split() == ["distiller", "relational", "mmsa-core", *line.split()[3:]] for line in lines)
    kinds = {line.split()[0] for line in mmsa.ok("list", "maskers").stdout.splitlines()}
    assert kinds == {"masker"}
    assert mmsa("list", "things").exit_code == 2


@pytest.mark.parametrize("name", sorted({name for table in registry.ALL for name in table}))
def test_show(mmsa, name):
    page = mmsa.ok("show", name).stdout
    for table in registry.ALL:
        if name in set(table):
            component = table.get(name)
            assert f"{table.kind} {name} (" in page
            assert component.__doc__.strip().splitlines()[0] in page
            for field in set(component.Config.model_fields) - {"name"}:
                assert f"  {field}: " in page
    assert not any(word in page for word in ("typing.", "Annotated", "PydanticUndefined", "Literal["))


@pytest.mark.needs("mmsa-corrkd")
def test_show_says_nested_fields(mmsa):
    assert "critic.hidden: int > 0, default" in mmsa.ok("show", "corrkd.rcd").stdout


def test_show_says_limits_defaults_and_nested_fields(mmsa):
    page = mmsa.ok("show", "kd").stdout
    for said in ("temperature: float > 0 and <= 1e+06, default 2.0", "optimizer.lr: float > 0"):
        assert said in page
    assert "path: path, required" in mmsa.ok("show", "mmsa-pickle").stdout
    assert "reads: Outputs; needs a teacher: yes" in mmsa.ok("show", "kd").stdout
    assert "Did you mean 'relational'" in mmsa.refused("show", "relationl")


def test_check_prints_the_filled_recipe(mmsa):
    text = mmsa.ok("check", "recipe.yaml", *overrides("train.lr=1e-4", "distillers.hint.name=kd")).stdout
    filled = yaml.safe_load(text)
    assert filled["train"]["lr"] == 1e-4
    assert filled["distillers"]["hint"]["temperature"] > 0
    (mmsa.folder / "filled.yaml").write_text(text)
    assert mmsa.ok("check", "filled.yaml").stdout == text


def test_schema(mmsa):
    found = json.loads(mmsa.ok("schema").stdout)
    assert {"data", "task", "model", "train"} <= set(found["required"])
    assert "relational" in json.dumps(found)


def test_help_is_short_enough_for_a_terminal(mmsa):
    text = mmsa.ok("--help").stdout
    assert "..." not in text.partition("Commands:")[2]
    for name in ("train", "evaluate", "predict", "list", "show", "check", "schema"):
        assert name in text
        assert mmsa.ok(name, "--help").stdout.startswith("Usage: ")
    assert mmsa.ok("--version").stdout.strip()


# Bad input that must be answered clearly: (overrides, what the message says)
BAD_RECIPE = {
    "unknown component": (
        ["distillers.rkd.name=relationl"],
        "unknown distiller 'relationl'. Did you mean 'relational'?",
    ),
    "unknown field": (
        ["distillers.rkd.dellta=1"],
        "distillers.rkd.dellta: unknown key 'dellta'. Did you mean 'delta'?",
    ),
    "unknown section": (["trian.lr=1"], "unknown key 'trian'. Did you mean 'train'?"),
    "unknown modality": (
        ["model.encoders.txt.name=pooled"],
        "no modality 'txt', which model.encoders names",
    ),
    "wrong type": (["train.epochs=many"], "--set train.epochs=many: train.epochs: expected a valid integer"),
    "missing file": (["data.name=mmsa-pickle", "data.path=absent.pkl"], "absent.pkl: cannot be read (No such file"),
    "heads that do not divide": (["model.dim=7"], "2 heads do not divide the model's width 7"),
    "regression without classes": (
        ["task.kind=regression"],
        "compares class responses, and task.kind regression has none",
    ),
    "no teacher": (["teacher.kind=none"], "needs a teacher; set for example teacher.kind: trained"),
    "ensemble of representations": (["teacher={runs: [a]}"], "an ensemble of runs has only averaged responses"),
    "no such run": (["teacher={run: absent}"], "absent; `mmsa train` prints the folder that it wrote"),
    "no such metric": (["train.select=f2"], "train.select: no validation value 'f2'; choose one of: loss, mae,"),
    "labels out of range": (
        ["task={kind: classification, classes: 2}", *PLAIN],
        "labels are outside 0..1, the first is 2 of sample",
    ),
    "scores out of range": (["task.range=1"], "are not finite or beyond [-1, 1], the first is"),
    "other targets": (
        ["task={kind: binary_labels, names: [a]}", *PLAIN],
        "learns from 'labels', but the data have score, label",
    ),
    "a teacher of other width": (
        [f"teacher={{kind: trained, model: {{dim: 4, encoders: {POOLED}, fusion: {{name: concat}}}}}}"],
        "representation is 24 wide, the teacher's 12",
    ),
    "a teacher of another modality": (
        ["teacher={kind: trained, model: {dim: 8, encoders: {gaze: {name: pooled}}, fusion: {name: concat}}}"],
        "teacher.model.encoders: 'gaze' is not among the modalities that model.encoders names: text, audio, vision",
    ),
}


@pytest.mark.parametrize(("given", "says"), BAD_RECIPE.values(), ids=BAD_RECIPE)
def test_a_bad_recipe_is_refused_before_anything_is_made(mmsa, given, says):
    assert says in mmsa.refused("train", "recipe.yaml", *overrides(*given))


def test_repeated_key(mmsa):
    (mmsa.folder / "recipe.yaml").write_text(RECIPE + "seeds: [2]\n")
    assert "recipe.yaml:19: key 'seeds' is repeated (first in line 2)" in mmsa.refused("train", "recipe.yaml")


@pytest.mark.parametrize("command", ["train", "check"])
def test_no_recipe(mmsa, command):
    assert "cannot read the recipe absent.yaml: No such file" in mmsa.refused(command, "absent.yaml")


def nan(splits):
    splits["valid"]["audio"][2, 1, 3] = np.nan
    splits["valid"]["audio"][5, 1, :2] = np.inf


def nan_label(splits):
    splits["train"]["regression_labels"][[3, 7]] = np.nan, np.inf


def too_long(splits):
    splits["test"]["vision_lengths"][4] = FRAMES + 1


def no_test(splits):
    del splits["test"]


def empty_test(splits):
    splits["test"] = {key: value[:0] for key, value in splits["test"].items()}


def no_vision(splits):
    for split in splits.values():
        split["vision"][:] = 0


def nothing(splits):
    for modality in WIDTHS:
        splits["valid"][modality][:] = 0


def other_schema(splits):
    for name, split in splits.items():
        labels = split["regression_labels"].reshape(-1, 1, 1)
        splits[name] = {m: split[m] for m in WIDTHS} | {"labels": labels, "id": split["id"]}


def uneven(splits):
    splits["train"]["text"] = splits["train"]["text"][:-1]


def unlabelled(splits):
    for split in splits.values():
        del split["regression_labels"], split["classification_labels"]


BAD_DATA = {
    "NaN in features": (
        nan,
        ["split 'valid'", "3 values of 'audio' in 2 rows", "sample 'valid$_$2' (row 2, frame 1, column 3)"],
    ),
    "NaN in labels": (nan_label, ["split 'train'", "2 of 16 scores are not finite", "sample 'train$_$3' (row 3)"]),
    "lengths beyond the array": (
        too_long,
        ["split 'test'", "vision_lengths", "from 0 to 4", "the first is 5 in row 4"],
    ),
    "no split": (no_test, ["split 'test' is absent", "train (16 rows), valid (8 rows)"]),
    "empty split": (empty_test, ["test", "empty"]),
    "a modality that no sample has": (no_vision, ["no sample of any split has modality 'vision'", "model.encoders"]),
    "rows with nothing": (nothing, ["split 'valid'", "none of its 8 rows"]),
    "another schema": (other_schema, ["not MMSA's schema", "mult-pickle"]),
    "columns of unequal length": (uneven, ["split 'train'", "15", "16"]),
    "no labels": (unlabelled, ["task 'bins' learns from 'score', but the data have no"]),
}


@pytest.mark.parametrize(("spoil", "says"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_are_refused_with_their_place(mmsa, spoil, says):
    splits = content()
    spoil(splits)
    mmsa.write("bad.pkl", splits)
    message = mmsa.refused("train", "recipe.yaml", *overrides("data.name=mmsa-pickle", "data.path=bad.pkl"))
    for each in says:
        assert each in message


def test_nonfinite_features_can_be_zeroed(mmsa):
    splits = content()
    nan(splits)
    mmsa.write("bad.pkl", splits)
    given = overrides("data.name=mmsa-pickle", "data.path=bad.pkl", "data.nonfinite=zero", *PLAIN)
    result = mmsa.ok("train", "recipe.yaml", *given)
    assert "3 NaN or infinite values of 'audio' were set to zero" in result.stdout


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        (pickle.dumps({"train": Evil()}), f"the pickle asks for '{os.system.__module__}.system', which is not data"),
        (b"no pickle at all", "not a whole pickle of plain data"),
        (pickle.dumps([1, 2]), "expected a dict of splits"),
        (b"", "not a whole pickle of plain data"),
    ],
    ids=["forbidden global", "no pickle", "no splits", "empty file"],
)
@pytest.mark.parametrize("reader", ["mmsa-pickle", "mult-pickle"])
def test_a_bad_pickle_is_refused_and_not_executed(mmsa, splits, says, reader):
    mmsa.write("bad.pkl", splits)
    given = overrides(f"data.name={reader}", "data.path=bad.pkl")
    assert says in mmsa.refused("train", "recipe.yaml", *given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["data.channels.audio=3"], "reads 'audio' 4 wide, but the data have it 3 wide"),
        (
            [
                "data.channels={text: 6, vision: 5}",
                "data.gains={text: 1, vision: 1}",
                "model.encoders={text: {name: pooled}, vision: {name: pooled}}",
            ],
            "reads 'audio' 4 wide, but the data of this recipe have text, vision",
        ),
        (["task.classes=5"], "was trained for another task"),
        (["seeds=[3]"], "holds seed-1, seed-2, but no seed-3"),
    ],
    ids=["width", "modality", "task", "seed"],
)
def test_a_teacher_that_does_not_fit(trained, given, says):
    arguments = overrides("teacher={run: runs/tiny}", "name=unfit", *given)
    assert says in trained.refused("train", "recipe.yaml", *arguments)


def test_a_folder_that_holds_something_is_not_touched(mmsa):
    (mmsa.folder / "mine").mkdir()
    (mmsa.folder / "mine" / "precious.txt").write_text("keep")
    for out in ("mine", "recipe.yaml", "recipe.yaml/below"):
        assert f"--out {out}: " in mmsa.refused("train", "recipe.yaml", "--out", out)
    assert (mmsa.folder / "mine" / "precious.txt").read_text() == "keep"


def test_an_empty_folder_may_be_given(mmsa):
    (mmsa.folder / "mine").mkdir()
    mmsa.ok("train", "recipe.yaml", "--out", "mine", *overrides(*PLAIN))
    assert (mmsa.folder / "mine" / "seed-1" / "student.safetensors").is_file()


def test_a_refused_run_leaves_an_empty_folder_of_the_users(mmsa):
    (mmsa.folder / "mine").mkdir()
    mmsa.refused("train", "recipe.yaml", "--out", "mine", *overrides("model.dim=7"))
    assert (mmsa.folder / "mine").is_dir()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_asked_for_and_absent(trained):
    says = "--device cuda: no CUDA device is available"
    for arguments in (["train", "recipe.yaml"], ["evaluate", "runs/tiny"], ["predict", "runs/pickled", "corpus.pkl"]):
        assert says in trained.refused(*arguments, "--device", "cuda")


def test_existing_files_are_not_overwritten(trained):
    (trained.folder / "mine.txt").write_text("keep")
    assert "--json mine.txt: exists" in trained.refused("evaluate", "runs/tiny", "--json", "mine.txt")
    assert "--out mine.txt: exists" in trained.refused("predict", "runs/pickled", "corpus.pkl", "--out", "mine.txt")
    assert (trained.folder / "mine.txt").read_text() == "keep"
    assert "there is no folder absent" in trained.refused("evaluate", "runs/tiny", "--json", "absent/mine.json")
    assert "there is no folder absent" in trained.refused(
        "predict", "runs/pickled", "corpus.pkl", "--out", "absent/a.csv"
    )


def test_bad_evaluations(trained):
    (trained.folder / "empty").mkdir(exist_ok=True)
    assert "unknown protocol 'outer'. Did you mean 'inter'? Known: inter, intra, asynchronous," in trained.refused(
        "evaluate", "runs/tiny", "--protocol", "outer"
    )
    assert "no run folder absent" in trained.refused("evaluate", "absent")
    assert "empty holds no finished run" in trained.refused("evaluate", "empty")
    assert "model.dim" in trained.refused("evaluate", "runs/tiny", *overrides("model.dim=x"))
    assert "does not fit the recipe beside it" in trained.refused("evaluate", "runs/tiny", *overrides("model.dim=4"))
    assert trained("evaluate", "runs/tiny", "--split", "rest").exit_code == 2


def test_bad_predictions(trained):
    assert "absent.pkl: cannot be read" in trained.refused("predict", "runs/pickled", "absent.pkl")
    assert "name one of them" in trained.refused("predict", "runs/tiny", "corpus.pkl")
    (trained.folder / "notes.txt").write_text("hello")
    assert "with --format, one of cmu-sdk, folder" in trained.refused("predict", "runs/tiny/seed-1", "notes.txt")
    assert "no split 'dev'; found: train, valid, test" in trained.refused(
        "predict", "runs/pickled", "corpus.pkl", "--split", "dev"
    )
    assert "unknown dataset 'pickle'" in trained.refused("predict", "runs/pickled", "corpus.pkl", "--format", "pickle")
    wide = content()
    wide["test"]["vision"] = np.ones((8, FRAMES, 9), dtype=np.float32)
    trained.write("wide.pkl", {"test": wide["test"]})
    assert "'vision' is 9 wide, but the model reads it 5 wide" in trained.refused("predict", "runs/pickled", "wide.pkl")


def test_damaged_runs(trained, mmsa):
    for name, damage in {
        "student.safetensors": b"no tensors",
        "recipe.yaml": b"seeds: [",
        "results.json": b"{",
        "provenance.json": b"[]",
    }.items():
        copy = mmsa.folder / f"damaged-{name}"
        shutil.copytree(trained.folder / "runs" / "pickled" / "seed-1", copy)
        (copy / name).write_bytes(damage)
        assert name in mmsa.refused("evaluate", copy)


@pytest.mark.parametrize("seeds", ["a,b", "", ",", "1,,2", "1;2", "1.5", "0", "-1"])
def test_bad_seeds(mmsa, seeds):
    result = mmsa("train", "recipe.yaml", "--seeds", seeds)
    assert result.exit_code == 2
    assert "--seeds" in result.stderr
    assert "such as 1111,1112,1113" in result.stderr
    assert "a count from 1 to 100" in result.stderr
    assert "each seed once, found 1, 1" in mmsa.refused("train", "recipe.yaml", "--seeds", "1,1")


@pytest.mark.parametrize(
    ("given", "seeds"), [("3", [1, 2, 3]), ("1", [1]), ("7,", [7]), ("101", [101]), ("2,1", [2, 1]), ("-1,", [-1])]
)
def test_seeds_by_number_or_by_name(mmsa, monkeypatch, given, seeds):
    monkeypatch.setattr(experiment, "train", lambda recipe, *_, **__: found.append(recipe.seeds) or "runs/none")
    found = []
    said = mmsa.ok("train", "recipe.yaml", "--seeds", given).stdout
    assert found == [tuple(seeds)]
    assert ("seeds: 1, 2, 3\n" in said) is (given == "3")


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5", ""])
def test_bad_jobs(mmsa, jobs):
    result = mmsa("train", "recipe.yaml", "--jobs", jobs)
    assert result.exit_code == 2
    assert "expected a number from 1, or auto" in result.stderr


def test_debug_shows_the_traceback(mmsa):
    result = mmsa("train", "recipe.yaml", "--debug", *overrides("train.lr=fast"))
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith("error: --set train.lr=fast: ")


def test_python_m():
    done = subprocess.run([sys.executable, "-m", "mmsa_core", "list"], capture_output=True, text=True, check=True)
    assert "relational" in done.stdout
    assert not done.stderr
