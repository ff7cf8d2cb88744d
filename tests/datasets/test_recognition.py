"""What a path looks like: schema, version, and the reader for it."""

import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from mmsa_core import writers
from mmsa_core.corpora import making
from mmsa_core.datasets import recognition
from mmsa_core.datasets.recognition import NUMPY_1, NUMPY_2, Looks, recognise

X = np.ones((2, 3, 4), dtype=np.float32)


@pytest.fixture(scope="module")
def small():
    return making.corpus("tiny", 0, ["0.2"])


def written(tmp_path, content, protocol=4):
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps({"train": content}, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_schema_and_protocol(tmp_path, protocol):
    content = {"text": X, "audio": X, "vision": X, "regression_labels": X[:, 0, 0], "id": ["a", "b"]}
    looks = recognise(written(tmp_path, content, protocol))
    assert (looks.schema, looks.reader) == ("a pickle in MMSA's schema", "mmsa-pickle")
    assert looks.details["protocol"] == str(protocol if protocol > 1 else 0)
    assert looks.details["written by"] == NUMPY_2
    assert looks.details["arrays"] == "f4"
    assert looks.details["lengths"] == "not given, as in MMSA's aligned files"
    assert looks.settings == {"absent": "missing"}


@pytest.mark.parametrize(
    ("content", "reader"),
    [
        ({"text": X, "labels": X}, "mult-pickle"),
        ({"text": X, "id": ["a", "b"]}, "mmsa-pickle"),
        ({"text": X, "classification_labels": [0, 1]}, "mmsa-pickle"),
        ({"speech": X, "target": X}, None),
    ],
)
def test_the_schema_tells_the_reader(tmp_path, content, reader):
    assert recognise(written(tmp_path, content)).reader == reader


def test_what_mmsa_fet_writes(tmp_path, small):
    writers.write(small, "mmsa-fet", tmp_path / "set.pkl")
    looks = recognise(tmp_path / "set.pkl")
    assert (looks.schema, looks.reader) == ("what MMSA-FET writes for a data set", "mmsa-fet")
    assert "data.classes" in looks.details["classes"]
    clip = {"text": X[0], "audio": X[0], "config": {"audio": {"tool": "librosa"}}}
    (tmp_path / "clip.pkl").write_bytes(pickle.dumps(clip, 2))
    looks = recognise(tmp_path / "clip.pkl")
    assert (looks.schema, looks.reader) == ("what MMSA-FET writes for a single clip", "mmsa-fet")
    said_only = {"text": X, "raw_text": ["config", "tools"], "id": ["a", "b"]}
    assert recognise(written(tmp_path, said_only)).reader == "mmsa-pickle"


def test_our_own_format(tmp_path, small):
    writers.write(small, "safetensors", tmp_path / "ours")
    looks = recognise(tmp_path / "ours")
    assert (looks.schema, looks.reader) == ("our own format", "safetensors")
    assert looks.details["made from"] == "synthetic by the reader synthetic"
    single = recognise(tmp_path / "ours" / "test.safetensors")
    assert single.reader is None
    assert str(tmp_path / "ours") in single.hint
    for name in ("train", "valid"):
        (tmp_path / "ours" / f"{name}.safetensors").write_bytes(b"damaged")
    assert recognise(tmp_path / "ours").schema == "our own format"
    save_file({"a": X}, tmp_path / "ours" / "test.safetensors")
    assert "without its header" in recognise(tmp_path / "ours").schema
    (tmp_path / "other").mkdir()
    save_file({"a": X}, tmp_path / "other" / "audio.safetensors")
    assert recognise(tmp_path / "other") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    for name in ("train.safetensors", "a.csd", "b.pkl"):
        os.mkfifo(tmp_path / name)
        assert recognise(tmp_path / name) is None
    (tmp_path / "a.csd").unlink()
    assert "without its header" in recognise(tmp_path).schema


def test_lengths_and_tokens(tmp_path):
    content = {"text_bert": X, "audio": X, "audio_lengths": [1, 2]}
    looks = recognise(written(tmp_path, content))
    assert looks.details["lengths"] == "given for each sample, as in MMSA's unaligned files"
    assert looks.settings["tokens"] is True
    assert "token ids" in looks.details["text"]
    assert "tokens" not in recognise(written(tmp_path, content | {"text": X})).settings


def test_numpy_1(tmp_path):
    path = written(tmp_path, {"text": X, "labels": X}, 2)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    assert recognise(path).details["written by"] == NUMPY_1


def test_nothing_is_run(tmp_path):
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "made").encode() + b"'\ntR.")
    assert recognise(tmp_path / "evil.pkl").reader is None
    assert not (tmp_path / "made").exists()


def test_folders_and_others(tmp_path):
    ours, own, sdk, empty = (tmp_path / name for name in ("ours", "own", "sdk", "empty"))
    for folder in (ours, own, sdk, empty):
        folder.mkdir()
    (ours / "train.safetensors").write_bytes(b"")
    (own / "samples.csv").write_text("id,split\n")
    (sdk / "COVAREP.csd").write_bytes(recognition.HDF5)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps({"train": {"text": X}}, 4)[:40])
    assert recognise(ours).reader == "safetensors"
    assert recognise(own).reader == "folder"
    assert recognise(sdk).reader == recognise(sdk / "COVAREP.csd").reader == "cmu-sdk"
    assert recognise(empty) is recognise(tmp_path / "notes.txt") is None
    assert "damaged" in recognise(tmp_path / "cut.pkl").schema


def test_a_reader_joins_the_table(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    wave = Looks("a recording", "my-waves")
    monkeypatch.setattr(
        recognition, "KINDS", [lambda path: wave if path.suffix == ".wav" else None, *recognition.KINDS]
    )
    assert recognise(tmp_path / "a.wav") is wave
