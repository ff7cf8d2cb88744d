"""A run and its data in another form: predicted the same from every format, evaluated without a warning from both."""

import csv
import io
import json
import pickle
from pathlib import Path

import pytest
import yaml

from mmsa_core.commands import data as cli_data

pytestmark = pytest.mark.needs("mmsa-corrkd")  # whose recipe it is
RECIPE = Path(__file__).parents[1] / "recipes" / "baseline.yaml"


def train(mmsa, reader, path, out, *more):
    data = ["--set", f"data.name={reader}", "--set", f"data.path={path}"]
    done = mmsa("train", RECIPE, "--out", out, "--set", "train.epochs=1", *data, *more)
    assert done.exit_code == 0, done.output
    return done


def rows(done):
    assert done.exit_code == 0, done.output
    return [list(row.values())[1:] for row in csv.DictReader(io.StringIO(done.stdout))]  # an id may be the format's own


@pytest.fixture
def made(mmsa):
    """The same samples in every format."""
    for reader in cli_data.FORMATS:
        done = mmsa("data", "make", "synthetic", reader, "--format", reader, "--missing", "vision=0.3")
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("trained_on", ["mmsa-pickle", "folder", "cmu-sdk", "safetensors"])
def test_a_run_predicts_from_every_format(mmsa, made, trained_on):
    train(mmsa, trained_on, trained_on, "run")
    wanted = rows(mmsa("predict", "run/seed-1111", trained_on))
    assert len(wanted) == 96
    for reader in cli_data.FORMATS:
        done = mmsa("predict", "run/seed-1111", reader)
        for found, row in zip(rows(done), wanted, strict=True):
            assert found[:2] == row[:2]
            assert float(found[2]) == pytest.approx(float(row[2]), abs=1e-5)
        switched = reader != trained_on
        assert (f"note: read as {reader}: " in done.stderr) is switched


def test_notes_on_other_splits_are_left_out(mmsa, made):
    train(mmsa, "mmsa-pickle", "mmsa-pickle", "run")
    whole, one = (mmsa("predict", "run/seed-1111", "mmsa-pickle", *more) for more in ([], ["--split", "test"]))
    assert "note: train: vision is missing in " in whole.stderr
    assert [line for line in whole.stderr.splitlines() if "note: test: " in line] == one.stderr.splitlines()


def test_the_run_s_own_settings_hold_for_its_own_format(mmsa, made):
    content = pickle.loads(Path("mmsa-pickle").read_bytes())
    for split in content.values():
        split["words"], split["words_lengths"] = split.pop("text"), split.pop("text_lengths", None)
        if split["words_lengths"] is None:
            del split["words_lengths"]
    Path("words.pkl").write_bytes(pickle.dumps(content))
    keys = "data.modalities={text: words, audio: audio, vision: vision}"
    train(mmsa, "mmsa-pickle", "words.pkl", "run", "--set", keys)
    done = mmsa("predict", "run/seed-1111", "words.pkl")
    assert len(rows(done)) == 96
    assert "text is not in the file" not in done.stderr
    train(mmsa, "mmsa-fet", "words.pkl", "fet", "--set", keys)  # reads MMSA's schema too
    assert "read as" not in mmsa("predict", "fet/seed-1111", "words.pkl").stderr


def test_a_run_that_read_no_file_predicts_a_file(mmsa, made):
    encoders = yaml.safe_load(RECIPE.read_text())["model"]["encoders"]
    assert set(encoders) == {"text", "audio", "vision"}
    settings = ["data.samples=[40, 20, 20]", "data.channels={text: 12, audio: 5, vision: 8}", "train.epochs=1"]
    done = mmsa("train", RECIPE, "--out", "run", *(each for s in settings for each in ("--set", s)))
    assert done.exit_code == 0, done.output
    done = mmsa("predict", "run/seed-1111", "mult-pickle")
    assert len(rows(done)) == 96
    assert "note: read as mult-pickle: a pickle in MulT's schema" in done.stderr


def test_both_forms_are_the_same_data(mmsa, made):
    assert mmsa("data", "convert", "mmsa-pickle", "converted").exit_code == 0
    prints = {
        json.loads(mmsa("data", "inspect", path, "--json").stdout)["fingerprint"]
        for path in ("mmsa-pickle", "converted")
    }
    assert len(prints) == 1
    train(mmsa, "mmsa-pickle", "mmsa-pickle", "from-file")
    train(mmsa, "safetensors", "converted", "from-folder")
    file, folder = (json.loads(Path(f"from-{k}/seed-1111/provenance.json").read_text()) for k in ("file", "folder"))
    assert folder["data_converted_from_sha256"] == file["data_sha256"] != folder["data_sha256"]
    forms = {
        "converted": ["--set", "data.name=safetensors", "--set", "data.path=converted"],
        "mmsa-pickle": ["--set", "data.name=mmsa-pickle", "--set", "data.path=mmsa-pickle"],
        "safetensors": ["--set", "data.name=safetensors", "--set", "data.path=safetensors"],  # made, not converted
    }
    for run in ("from-file", "from-folder"):
        for form, settings in forms.items():
            done = mmsa("evaluate", run, "--protocol", "inter", *settings)
            assert done.exit_code == 0, done.output
            assert ("another SHA-256" in done.output.replace("\n", " ")) is (form == "safetensors")


def test_names_that_a_run_gave_hold_for_other_formats_or_the_file_is_refused(mmsa, made):
    """`words` and so on are ours: a pickle's keys are mapped as in training, of another pickle too."""
    names = "{words: text, voice: audio, face: vision}"
    encoders = "{words: {name: pooled}, voice: {name: pooled}, face: {name: pooled}}"
    more = ["--set", f"data.modalities={names}", "--set", f"model.encoders={encoders}"]
    train(mmsa, "mmsa-pickle", "mmsa-pickle", "run", *more)
    wanted = rows(mmsa("predict", "run/seed-1111", "mmsa-pickle"))
    assert [row[2] for row in rows(mmsa("predict", "run/seed-1111", "mult-pickle"))] == [row[2] for row in wanted]
    done = mmsa("data", "convert", "mmsa-pickle", "renamed", "--set", f"data.modalities={names}")
    assert done.exit_code == 0, done.output
    assert [row[2] for row in rows(mmsa("predict", "run/seed-1111", "renamed"))] == [row[2] for row in wanted]
    refused = mmsa("predict", "run/seed-1111", "safetensors")
    assert refused.exit_code == 2
    assert "has audio, text, vision, but the run reads words, voice, face" in refused.stderr
    assert not refused.stdout
