"""`mmsa data inspect`: text of 80 columns, JSON, pictures, and bad input."""

import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from mmsa_core.cli import main

WIDTHS = {"text": 6, "audio": 74, "vision": 35}


def content(rows, seed, prefix):
    draw = np.random.default_rng(seed)
    score = draw.uniform(-3, 3, rows).round(1).astype(np.float32)
    made = {m: draw.normal(size=(rows, 5, width)).astype(np.float32) for m, width in WIDTHS.items()}
    lengths = draw.integers(0, 6, rows)
    made["vision"][np.arange(5) >= lengths[:, None]] = 0
    made["audio"][0, 2, 7] = -np.inf
    made["text"][:, :, 3] = 1
    return {
        **made,
        "vision_lengths": lengths,
        "regression_labels": score,
        "classification_labels": np.sign(score) + 1,
        "annotations": [("Negative", "Neutral", "Positive")[int(np.sign(each)) + 1] for each in score],
        "id": [f"{prefix}{row // 5}$_${row + 100 * seed}" for row in range(rows)],
    }


@pytest.fixture
def file(tmp_path):
    splits = {
        "train": content(80, 0, "a video of a rather long name "),
        "valid": content(30, 1, "v"),
        "test": content(30, 2, "v"),
    }
    (tmp_path / "corpus.pkl").write_bytes(pickle.dumps(splits, 4))
    return tmp_path / "corpus.pkl"


def test_text(mmsa, file):
    result = mmsa("data", "inspect", file)
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert not any(line != line.rstrip() for line in result.stdout.splitlines())
    for expected in (
        "corpus.pkl (reader mmsa-pickle): a pickle in MMSA's schema",
        "written by   numpy 2 (numpy._core)",
        "Which modalities samples have",
        "text + audio + vision",
        "Negative",
        "first value that is not finite in train: -inf in audio of 'a video of a rather",
        "warning covarep-inf",
        "warning shared-splits: valid and test share 6 videos",
        "note mosi-feature-set",
        "What to do: ",
    ):
        assert expected in result.stdout, result.stdout
    assert result.stdout.index("warning covarep-inf") < result.stdout.index("note mosi-feature-set")


def everything(terminal):
    """What is written to a terminal until nobody does any more, which it says by an error."""
    shown = b""
    with suppress(OSError):
        while part := os.read(terminal, 65536):
            shown += part
    return shown.decode()


def test_a_terminal(file, monkeypatch):
    """As a terminal of 80 columns shows it: nothing is wider."""
    pty = pytest.importorskip("pty")
    reading, writing = pty.openpty()
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as reader, open(os.devnull, "w") as nowhere:
        shown = reader.submit(everything, reading)
        for name, value in {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}.items():
            patch.setenv(name, value)
        with os.fdopen(writing, "w") as terminal:
            patch.setattr(sys, "stdout", terminal)
            patch.setattr(sys, "stderr", nowhere)
            main(["data", "inspect", str(file)], standalone_mode=False)
    os.close(reading)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown.result()).split("\n")
    assert {"Splits", "Scores", "Classes"} <= set(lines)
    assert max(map(len, lines)) <= 80


def test_a_pipe_that_closes(file):
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m mmsa_core data inspect '{file}' | head -1"],
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr


def test_json(mmsa, file):
    result = mmsa("data", "inspect", file, "--json")
    assert result.exit_code == 0, result.output

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(result.stdout, parse_constant=refuse)
    assert found["format"] == "mmsa-inspection-1"
    assert (found["reader"], found["looks"]["schema"]) == ("mmsa-pickle", "a pickle in MMSA's schema")
    assert found["rows"] == {"train": 80, "valid": 30, "test": 30}
    assert found["features"]["train"]["audio"]["nonfinite"]["minus_inf"] == 1
    assert found["features"]["train"]["audio"]["nonfinite"]["first"]["value"] == "-inf"
    assert found["features"]["train"]["text"]["constant"] == [3]
    assert sum(each["rows"] for each in found["patterns"]["train"]) == 80
    assert found["targets"]["names"] == ["Negative", "Neutral", "Positive"]
    assert sum(found["targets"]["scores"]["train"]["counts"]) == 80
    assert found["leakage"]["shared"][0]["groups"] == [f"v{n}" for n in range(6)]
    assert {each["trap"] for each in found["warnings"]} >= {"covarep-inf", "shared-splits", "mosi-feature-set"}
    assert "all" not in found["features"]["train"]["text"]["lengths"]
    assert found["plots"] == []


def test_undefined_numbers_are_null(mmsa, tmp_path):
    made = content(30, 0, "v") | {"regression_labels": np.full(30, np.nan)}
    (tmp_path / "nan.pkl").write_bytes(pickle.dumps({"train": made}, 4))
    found = json.loads(mmsa("data", "inspect", tmp_path / "nan.pkl", "--json").stdout)
    assert found["targets"]["scores"]["train"]["mean"] is None
    assert found["targets"]["scores"]["train"]["nonfinite"] == 30


def test_the_same_content_in_another_file_has_the_same_fingerprint(mmsa, tmp_path):
    made = content(30, 0, "v")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"train": made}, 4))
    padded = {m: np.pad(made[m], ((0, 0), (0, 3), (0, 0))).astype(np.float64) for m in WIDTHS}
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"train": made | padded}, 2))
    a, b = (json.loads(mmsa("data", "inspect", tmp_path / name, "--json").stdout) for name in ("a.pkl", "b.pkl"))
    assert a["fingerprint"] == b["fingerprint"]
    assert a["digest"] != b["digest"]


def test_plots(mmsa, file, tmp_path):
    result = mmsa("data", "inspect", file, "--plot", tmp_path / "new" / "plots")
    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "new" / "plots").iterdir())
    assert [path.name for path in written] == ["labels.png", "lengths.png", "missing.png", "scale.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and f"written: {path}" in result.stdout for path in written)
    before = [path.read_bytes() for path in written]
    again = mmsa("data", "inspect", file, "--plot", tmp_path / "new" / "plots")
    assert again.exit_code == 2
    assert "nothing is overwritten" in again.stderr
    assert [path.read_bytes() for path in written] == before
    found = json.loads(mmsa("data", "inspect", file, "--json", "--plot", tmp_path / "other").stdout)
    assert found["plots"] == [str(tmp_path / "other" / path.name) for path in written]
    assert [path.read_bytes() for path in sorted((tmp_path / "other").iterdir())] == before


def test_a_corpus_with_little_to_draw(mmsa, tmp_path):
    x = np.zeros((2, 3, 4), dtype=np.float32)
    x[0] = 1
    (tmp_path / "small.pkl").write_bytes(pickle.dumps({"test": {"text": x, "id": ["a", "b"]}}, 4))
    result = mmsa("data", "inspect", tmp_path / "small.pkl", "--plot", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["lengths.png", "missing.png"]


def test_labels_of_mult(mmsa, tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 3, 4)).astype(np.float32)
    labels = np.eye(2)[np.array([[0, 1], [1, 1], [1, 0], [1, 0]])]
    split = {"text": x, "audio": x, "vision": x, "labels": labels, "id": [[f"s{n}", "", ""] for n in range(4)]}
    (tmp_path / "iemocap.pkl").write_bytes(pickle.dumps({"train": split}, 4))
    result = mmsa("data", "inspect", tmp_path / "iemocap.pkl", "--plot", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    assert "Labels that are true" in result.stdout
    assert "3 (75 %)" in result.stdout
    assert (tmp_path / "plots" / "labels.png").exists()


def test_names_that_would_be_markup_formulas_or_terminal_codes(mmsa, tmp_path):
    made = content(80, 0, "\x1b[31mred [bold] $x^$")
    made["annotations"] = [
        {"Negative": "[b]$x^$", "Neutral": "中", "Positive": ":smile:"}[a] for a in made["annotations"]
    ]
    (tmp_path / "a$x^$ [b].pkl").write_bytes(pickle.dumps({"train [i]": made}, 4))
    result = mmsa("data", "inspect", tmp_path / "a$x^$ [b].pkl", "--plot", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    for shown in ("a$x^$ [b].pkl", "train [i]", "[b]$x^$", ":smile:", "\\x1b[31mred"):
        assert shown in result.stdout
    assert len(list((tmp_path / "plots").iterdir())) == 4
    found = mmsa("data", "inspect", tmp_path / "a$x^$ [b].pkl", "--json").stdout
    assert found.isascii()
    assert "中" in json.loads(found)["targets"]["names"]


def test_a_reader_that_cannot_be_imported_stops_only_itself(mmsa, file, monkeypatch):
    from mmsa_core import registry

    claim = registry.Claim("broken", "no.such:Thing", "other 1.0", file)
    known = registry.metadata()
    group = {"mmsa.datasets": (*known.claims["mmsa.datasets"], claim)}
    monkeypatch.setattr(registry, "metadata", lambda: registry.Metadata({**known.claims, **group}, ()))
    assert mmsa("data", "inspect", file).exit_code == 0
    result = mmsa("data", "inspect", file.parent)
    assert result.exit_code == 2
    assert "one of cmu-sdk, folder" in result.stderr
    assert "broken" in mmsa("data", "inspect", file, "--reader", "broken").stderr


def test_settings_of_the_reader(mmsa, file):
    settings = ["--set", "data.modalities={voice: audio}"]
    found = json.loads(mmsa("data", "inspect", file, "--json", *settings).stdout)
    assert found["modalities"] == ["voice"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.pkl"], "nowhere.pkl: there is no such file or folder"),
        (["text.txt"], "nothing that is recognised; name its reader with --reader, one of cmu-sdk, folder"),
        (["empty"], "an empty folder"),
        (["neither.pkl"], "neither MMSA's nor MulT's"),
        (["cut.pkl"], "not a whole pickle"),
        (["sound.csd"], "no installed distribution has it"),
        (["corpus.pkl", "--reader", "mmsa-pickel"], "Did you mean 'mmsa-pickle'"),
        (["corpus.pkl", "--reader", "synthetic"], "reads no file"),
        (["corpus.pkl", "--reader", "mult-pickle"], "Set data.name: mmsa-pickle"),
        (["corpus.pkl", "--set", "train.lr=1"], "expected data.KEY=VALUE"),
        (["corpus.pkl", "--set", "data.path=x"], "The file is the argument"),
        (["corpus.pkl", "--set", "data.modalitys={a: b}"], "--set data.modalitys={a: b}: data.modalitys"),
        (["corpus.pkl", "--set", "data.modalities=[1]"], "--set data.modalities=[1]: data.modalities"),
        (["corpus.pkl", "--set", "data.modalities={a: b}"], "no split has 'b'"),
        (["corpus.pkl", "--plot", "text.txt"], "is a file; name a folder"),
        (["rowless.pkl"], "no split has a row"),
    ],
)
def test_bad_input(mmsa, file, tmp_path, arguments, said):
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "neither.pkl").write_bytes(pickle.dumps({"train": {"speech": np.ones(3)}}, 4))
    (tmp_path / "cut.pkl").write_bytes(file.read_bytes()[:300])
    (tmp_path / "sound.csd").write_bytes(b"")
    rowless = {"text": np.ones((0, 2, 2), dtype=np.float32), "id": []}
    (tmp_path / "rowless.pkl").write_bytes(pickle.dumps({"train": rowless}, 4))
    if arguments[0] == "sound.csd":
        registry = pytest.importorskip("mmsa_core.registry")
        if "cmu-sdk" in registry.datasets:
            pytest.skip("there is a reader for it")
    result = mmsa("data", "inspect", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(errors) == 1, result.stderr
    assert errors[0].startswith("error: ")
    assert said in errors[0], result.stderr
