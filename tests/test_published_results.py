"""The published numbers: every one against the reference they are from, and what keeps them from being compared."""

import re
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from mmsa_core.corpora import data
from mmsa_core.display import Display
from mmsa_core.evaluation import evaluation, protocol_file, published_results
from mmsa_core.evaluation.published_results import File, Own, Table
from mmsa_core.run_folder import checkpoint
from mmsa_core.training import experiment

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "corrkd.md"
ALL = ("text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "avg6", "text+audio+vision")


def found(data, metric="f1_non0"):
    """Method to its numbers in percent; an ablation's row replaces none, its numbers are the same."""
    rows = [row for row in published_results.rows() if (row.data, row.metric) == (data, metric)]
    return {row.method: {name: round(100 * value, 2) for name, value in row.values.items()} for row in rows[::-1]}


def reference():
    if not REFERENCE.is_file():
        pytest.skip(f"{REFERENCE} is absent")
    return REFERENCE.read_text(encoding="utf-8")


@pytest.mark.parametrize("data", ["MOSI", "MOSEI"])
def test_every_number_is_the_references(data):
    lines = reference().split(f"{data} | l | a | v | la | lv | av | avg6 | lav\n")[1].split("\n\n")[0].splitlines()[1:]
    table = {line.split("|")[0].strip(): [float(cell) for cell in line.split("|")[1:]] for line in lines}
    ours = {method: values for method, values in found(data).items() if "without" not in method and "KL" not in method}
    assert len(table) == len(ours) > 4
    for method, values in table.items():
        assert ours[method] == dict(zip(ALL, values, strict=True))


def test_every_number_of_iemocap_and_of_the_ablation_is_the_references():
    text = " ".join(reference().split())
    emotions = re.findall(r"(happy|sad|angry|neutral) ((?:[\d.]+ ){7})\| ([\d.]+\d)", text)
    assert len(emotions) == 4
    for emotion, most, last in emotions:
        numbers = [float(number) for number in [*most.split(), last]]
        assert found("IEMOCAP", f"{emotion}_f1")["CorrKD"] == dict(zip(ALL, numbers, strict=True))
    ablation = re.search(r"full ([\d.]+), without SCD ([\d.]+), without CPD ([\d.]+), .* plain KL ([\d.]+\d)", text)
    ours = found("MOSI")
    names = ("CorrKD without SCD", "CorrKD without CPD", "CorrKD with plain KL for RCD")
    assert [ours["CorrKD"]["avg6"], *(ours[name]["avg6"] for name in names)] == [float(n) for n in ablation.groups()]


def test_an_average_is_that_of_its_six_conditions_as_far_as_they_are_printed():
    for row in published_results.rows():
        if "text" in row.values:
            mean = sum(row.values[name] for name in ALL[:6]) / 6
            assert row.values["avg6"] == pytest.approx(mean, abs=1e-3), (row.data, row.method)


def test_every_row_says_where_it_is_from():
    rows = published_results.rows()
    assert {row.method for row in rows} >= {"CorrKD", "HRLF", "DMD", "GCNet", "Self-MM", "MCTN", "TransM", "SMIL"}
    assert "CVPR 2023" in next(row for row in rows if row.method == "DMD").citation
    assert all("CVPR 2024" in row.printed_in and "NeurIPS 2024" in row.printed_in for row in rows)


def test_what_differs_is_said():
    row = published_results.beside("corrkd-inter", ["f1_non0"])[0]
    same = Own(row.splits, row.features, "corrkd-inter", "f1_non0", 5)
    assert len(published_results.differences(row, same)) == 1  # which corpus it is cannot be known
    other = Own({"train": 1284, "test": 189}, {"text": 768, "audio": 74}, "corrkd-intra", "auc_non0", 1)
    assert published_results.differences(row, other)[1:] == [
        "test split: theirs 686 samples, yours 189",
        "features of text: theirs 300 wide, yours 768 wide",
        "features of vision: theirs 35 wide, yours none",
        "metric: theirs f1_non0 (weighted F1 of negative against positive, zero labels left out), yours auc_non0",
        "protocol: theirs corrkd-inter, yours corrkd-intra",
        "theirs is the mean of 5 seeds, yours of 1",
    ]


def test_what_is_known_of_ones_own_run(make, tmp_path):
    folder = experiment.train(make.tiny(seeds=[1]), tmp_path / "out", torch.device("cpu"), "test", Display())
    loaded = checkpoint.load(folder / "seed-1")
    prepared = data.load(loaded.recipe)
    inter = protocol_file.get("inter", tuple(prepared.channels), prepared.splits["test"])
    evaluated = evaluation.evaluate([loaded], prepared, "test", inter, torch.device("cpu"))
    found = published_results.own(evaluated, "f1_non0")
    assert found == Own({"train": 22, "test": 11}, prepared.channels, "corrkd-inter", "f1_non0", 1)
    (row, *_) = published_results.beside("corrkd-inter", ["f1_non0"])
    assert "train split: theirs 1284 samples, yours 22" in published_results.differences(row, found)
    assert {each.table for each in published_results.rows() if each.data == "MOSI"} == {"mosi-subsets", "mosi-ablation"}


def test_rows_are_of_the_protocol_and_the_metrics_that_were_asked_for():
    assert published_results.beside("corrkd-intra", ["f1_non0"]) == ()
    assert {row.data for row in published_results.beside("corrkd-inter", ["happy_f1"])} == {"IEMOCAP"}


def test_a_row_needs_a_value_for_each_column_and_a_paper():
    sizes, paper = {"test": 1}, {"authors": "A", "title": "T", "venue": "V", "year": 2024}
    table = {"name": "t", "data": "D", "splits": sizes, "protocol": "p", "metric": "m", "about": "", "columns": ["a"]}
    with pytest.raises(ValidationError, match="M has 2 values, columns 1"):
        Table(**table, rows={"M": [1.0, 2.0]})
    file = {"printed_in": ["P"], "seeds": 1, "features": {}, "papers": {"P": paper}}
    with pytest.raises(ValidationError, match="no paper is given for M"):
        File(**file, tables=[table | {"rows": {"M": [1.0]}}])
    assert File(**file, tables=[table | {"rows": {"M": [1.0]}, "of": "P"}]).tables[0].rows == {"M": (1.0,)}
