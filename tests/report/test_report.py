"""`mmsa report` from trained runs to files: the numbers are those of the evaluation, whatever task and modalities."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from mmsa_core import writers
from mmsa_core.components import Dataset
from mmsa_core.display import Display
from mmsa_core.evaluation import reports
from mmsa_core.report.drawing import style
from mmsa_core.training import experiment

FEW = ("--resamples", 1000)
CPU = torch.device("cpu")
INTER = ("text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "avg6", "text+audio+vision")


def train(recipe, folder):
    return experiment.train(recipe, folder, CPU, "mmsa train", Display())


@pytest.fixture(scope="module")
def two(make, tmp_path_factory):
    """A baseline and CorrKD, two seeds each."""
    place = tmp_path_factory.mktemp("runs")
    recipes = {"plain_<b>|%": make.tiny(seeds=[1, 2]), "taught": make.corrkd(seeds=[1, 2])}
    return [train(recipe, place / name) for name, recipe in recipes.items()]


@pytest.fixture
def runs(two, tmp_path):
    """Copies, since answers are kept in run folders."""
    return [shutil.copytree(run, tmp_path / run.name) for run in two]


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made, but not written, which takes most of the time."""

    def render(draw):
        with style.look():
            draw()
        return style.Rendered(b"png", b"pdf")

    monkeypatch.setattr(style, "render", render)


def tables(out):
    found = {}
    for path in (out / "tables").glob("*.csv"):
        with path.open(newline="") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


@pytest.mark.usefixtures("undrawn")
def test_all_numbers_are_those_of_the_evaluation(runs, tmp_path, mmsa, read):
    out = tmp_path / "report"
    done = mmsa("report", *runs, *FEW, "--out", out, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"written: {out}/report.html"
    names, found = ("plain_<b>|%", "taught"), tables(out)
    summaries = {
        name: {
            each.protocol.name: each.summary()
            for each in reports.evaluations(run, ("inter", "intra"), "test", (), CPU, Display())
        }
        for name, run in zip(names, runs, strict=True)
    }
    for name, by_protocol in summaries.items():
        for protocol, summary in by_protocol.items():
            values = summary["conditions"] | summary["averages"]
            for metric in ("f1_non0", "f1_non0_tuned", "auc_non0", "positive_rate", "mae", "corr"):
                table = found[f"{protocol}-{metric}"]
                for entry, each in values.items():
                    cells = {key: row[key] for row in table for key in row if row.get("run") == name}
                    if "condition" in table[0]:
                        (row,) = [row for row in table if row["condition"] == entry]
                        mean, std = row[name], row[f"{name}_std"]
                    else:
                        mean, std = cells[entry], cells[f"{entry}_std"]
                    for shown, key in ((mean, "mean"), (std, "std")):
                        wanted = each[metric][key]
                        assert (None if shown == "" else float(shown)) == wanted, (name, protocol, metric, entry)
        complete = by_protocol["corrkd-inter"]["conditions"]["text+audio+vision"]
        (row,) = [row for row in found["main"] if (row["run"], row["input"]) == (name, "complete")]
        assert float(row["f1_non0"]) == complete["f1_non0"]["mean"]
    shown = read((out / "report.html").read_text(encoding="utf-8"))
    subset = shown.tables["table-corrkd-inter-f1_non0"]
    assert subset[0] == ["run", *INTER]
    mean = summaries["taught"]["corrkd-inter"]["averages"]["avg6"]["f1_non0"]
    assert subset[2][7] == f"{100 * mean['mean']:.1f} ± {100 * mean['std']:.1f}"
    references = summaries["taught"]["corrkd-inter"]["references"]
    assert [row[0] for row in subset[3:]] == list(references)
    assert subset[3][1:] == [f"{100 * references['constant']['f1_non0']:.1f}"] * 8
    assert subset[1][0] == names[0]  # as it is, in spite of its signs


def test_what_is_written(runs, tmp_path, mmsa, read):
    out = tmp_path / "report"
    assert mmsa("report", *runs, *FEW, "--out", out, "--protocol", "intra", "--against", runs[1]).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["figures", "report.html", "report.md", "tables"]
    text = (out / "report.html").read_text(encoding="utf-8")
    shown = read(text)
    pictures = [a["id"].removeprefix("figure-") for a in shown.all("figure")]
    assert sorted(pictures) == sorted(path.stem for path in (out / "figures").glob("*.png"))
    assert {f"{name}.pdf" for name in pictures} == {path.name for path in (out / "figures").glob("*.pdf")}
    assert {"curves-corrkd-intra", "training-student", "training-teacher", "predictions", "calibration"} <= {*pictures}
    assert len({a["id"] for _, a in shown.elements if "id" in a}) == sum("id" in a for _, a in shown.elements)
    kept = [name.removeprefix("table-") for name in shown.tables]
    for kind in ("csv", "md", "tex"):
        assert sorted(kept) == sorted(path.stem for path in (out / "tables").glob(f"*.{kind}"))
    assert "://" not in text
    fields = {row[0] for row in shown.tables["table-recipe-differences"]}
    assert {"teacher.kind", "distillers.scd.name"} <= fields
    assert not {"seeds", "train.lr"} & fields
    assert [row[0] for row in shown.tables["table-main"][1:3]] == ["taught", "plain_<b>|%"]  # the baseline is first
    comparisons = shown.tables["table-comparison-corrkd-intra"]
    assert {row[0] for row in comparisons[1:]} == {"plain_<b>|%"}
    assert {row[2] for row in comparisons[1:]} == {"avg11", *(f"{rate / 10:.1f}" for rate in range(11))}
    evaluations = {row[0]: row[1:] for row in shown.tables["table-test-evaluations"][1:]}
    assert evaluations["taught"] == ["2", "train, corrkd-intra"]
    digest = json.loads((runs[0] / "seed-1" / "provenance.json").read_text())["data_sha256"]
    assert digest in text


@pytest.mark.usefixtures("undrawn")
def test_a_second_report_is_the_same(runs, tmp_path, mmsa):
    for name in ("one", "other"):  # the second finds answers that are kept
        assert mmsa("report", *runs, *FEW, "--out", tmp_path / name).exit_code == 0
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "one")).read_bytes(), path.name


@pytest.mark.usefixtures("undrawn")
def test_one_seed_has_no_spread(runs, tmp_path, mmsa, read):
    out = tmp_path / "report"
    assert mmsa("report", runs[1] / "seed-2", "--out", out, "--split", "valid").exit_code == 0
    text = (out / "report.html").read_text(encoding="utf-8")
    assert " ± " not in "".join(cell for table in read(text).tables.values() for row in table for cell in row)
    assert "The tables of this report are of the valid split." in text
    assert not any(key.endswith("_std") for key in tables(out)["main"][0])


@pytest.mark.usefixtures("undrawn")
def test_classes_and_many_modalities(make, tmp_path, mmsa, read):
    encoder = {"name": "pooled"}
    widths = {"words": 5, "voice": 4, "face": 3, "pulse": 2}
    data = {"name": "synthetic", "samples": [30, 12, 12], "length": [3, 5], "missing": 0.3}
    recipe = make.tiny(
        name="four",
        data=data | {"channels": widths, "gains": dict.fromkeys(widths, 1.0)},
        task={"kind": "classification", "classes": 3, "sentiment": True},
        model={"dim": 8, "encoders": dict.fromkeys(widths, encoder), "fusion": {"name": "concat"}},
        masker=None,
    )
    out = tmp_path / "report"
    done = mmsa("report", train(recipe, tmp_path / "run"), "--out", out)
    assert done.exit_code == 0, done.output
    found = tables(out)
    assert len(found["corrkd-inter-f1"]) == 16  # 15 subsets and avg14, each a row
    assert {row["truth"] for row in found["confusion-1"]} == {"negative", "neutral", "positive"}
    natural = [row["has"] for row in found["natural-patterns"]]
    assert natural[0] == "words+voice+face+pulse"
    assert sum(int(row["samples"]) for row in found["natural-patterns"]) == 12
    assert any(row["auc"] == "" for row in found["natural-patterns"])  # undefined for some pattern
    shown = read((out / "report.html").read_text(encoding="utf-8")).tables["table-natural-patterns"]
    assert any("undef." in row for row in shown)


@pytest.mark.usefixtures("undrawn")
def test_several_labels(make, tmp_path, mmsa):
    rng = np.random.default_rng(0)
    rows = 24
    corpus = Dataset.from_arrays(
        {
            "text": rng.normal(size=(rows, 3, 4)).astype(np.float32),
            "audio": rng.normal(size=(rows, 2, 3)).astype(np.float32),
        },
        ["train"] * 12 + ["valid"] * 6 + ["test"] * 6,
        {"labels": rng.integers(0, 2, size=(rows, 2))},
        names={"labels": ["very_happy", "sad"]},
    )
    writers.write(corpus, "safetensors", tmp_path / "data")
    encoder = {"name": "pooled"}
    recipe = make.tiny(
        data={"name": "safetensors", "path": tmp_path / "data"},
        task={"kind": "binary_labels", "names": ["very_happy", "sad"]},
        model={"dim": 8, "encoders": {"text": encoder, "audio": encoder}, "fusion": {"name": "concat"}},
    )
    out = tmp_path / "report"
    done = mmsa("report", train(recipe, tmp_path / "run"), "--out", out)
    assert done.exit_code == 0, done.output
    found = tables(out)
    assert {"very_happy_f1", "very_happy_f1_tuned", "sad_auc"} <= set(found["main"][0])
    assert [row["classes"] for row in found["confusion-1"]] == ["very_happy"] * 8 + ["sad"] * 8


@pytest.mark.usefixtures("undrawn")
def test_published_numbers_are_marked(runs, tmp_path, mmsa, read):
    out = tmp_path / "report"
    assert mmsa("report", runs[0], "--out", out, "--protocol", "inter", "--published").exit_code == 0
    shown = read((out / "report.html").read_text(encoding="utf-8"))
    table = shown.tables["table-published-corrkd-inter-1"]
    assert table[0] == ["run", *INTER]
    assert [row[0] for row in table[1:3]] == ["plain_<b>|%", "constant"]
    assert ["CorrKD (published)", "81.2", "66.5", "60.7", "83.6", "82.4", "73.7", "74.7", "83.9"] in table
    assert "train split: theirs 1284 samples, yours 22" in shown.text
    assert not any("published" in name for name in tables_without(runs[0], tmp_path, mmsa))


def tables_without(run, tmp_path, mmsa):
    assert mmsa("report", run, "--out", tmp_path / "plain", "--protocol", "inter").exit_code == 0
    return tables(tmp_path / "plain")


@pytest.mark.usefixtures("undrawn")
def test_a_run_of_fewer_modalities_is_left_out_of_the_comparisons(runs, make, tmp_path, mmsa):
    encoder = {"name": "transformer", "layers": 1, "heads": 2}
    model = {"dim": 8, "encoders": {"text": encoder, "audio": encoder}, "fusion": {"name": "concat"}}
    fewer = train(make.tiny(model=model), tmp_path / "fewer")
    out = tmp_path / "report"
    done = mmsa("report", runs[0], fewer, *FEW, "--out", out, "--protocol", "inter")
    assert done.exit_code == 0, done.output
    found = tables(out)
    row = next(row for row in found["corrkd-inter-f1_non0"] if row["run"] == "fewer")
    assert row["text"] != "" == row["vision"]
    assert "comparison-corrkd-inter" not in found
    assert "cannot be compared with" in (out / "report.html").read_text(encoding="utf-8")


def test_what_is_refused(runs, make, tmp_path, mmsa):
    def refused(*arguments):
        done = mmsa("report", *arguments)
        assert done.exit_code == 2
        return done.stderr

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert "nothing is overwritten" in refused(runs[0], "--out", tmp_path / "full")
    out = ("--out", tmp_path / "out")
    assert "no run folder" in refused(tmp_path / "nothing", *out)
    assert "is given twice" in refused(runs[0], runs[0], *out)
    assert "unknown protocol 'intre'" in refused(runs[0], *out, "--protocol", "intre")
    classes = train(make.tiny(task={"kind": "classification", "classes": 3}), tmp_path / "classes")
    assert "is measured by f1, auc" in refused(runs[0], classes, *out)
    more = {"name": "synthetic", "samples": [22, 9, 12], "length": [3, 6]}
    other = train(make.tiny(data=more), tmp_path / "other")
    assert "was trained on other data" in refused(runs[0], other, *out)
    assert not (tmp_path / "out").exists()
