"""`mmsa data convert`: the same training from both forms, what is guessed, and what is asked for."""

import csv
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsa_core import registry
from mmsa_core.corpora import data
from mmsa_core.datasets.stored import StoredCorpus
from mmsa_core.testing.splits import splits

DATA = Path(__file__).parents[1].parent / "shared" / "data"


def rows(n, seed, labels=True):
    """A split of MMSA's schema: text in float16, audio of several lengths, half of the vision missing."""
    rng = np.random.default_rng(seed)
    found = {
        "id": [f"v{seed}${i}" for i in range(n)],
        "text": rng.normal(size=(n, 6, 4)).astype(np.float16),
        "audio": rng.normal(size=(n, 9, 3)).astype(np.float32),
        "vision": rng.normal(size=(n, 2, 5)),
        "audio_lengths": rng.integers(1, 10, size=n).tolist(),
        "vision_lengths": (np.arange(n) % 2 * 2).tolist(),
    }
    found["text"][:, 4:] = 0
    found["text"][::3, 0] = 0  # padding at the front
    return found | ({"regression_labels": rng.uniform(-3, 3, size=n).astype(np.float32)} if labels else {})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.pkl"
    path.write_bytes(pickle.dumps({"train": rows(21, 0), "valid": rows(8, 1), "test": rows(8, 2)}))
    return path


def test_the_same_numbers_from_both_forms(make, mmsa, file):
    result = mmsa("data", "convert", file, "out")
    assert result.exit_code == 0, result.output
    for said in ("train: 21 rows; targets: score", "text: 4 wide, float16", "audio: 3 wide, float32", "written: out"):
        assert said in result.stdout
    assert "note: train: vision is missing in 11 of 21 rows" in result.stdout
    series = []
    for config in ({"name": "mmsa-pickle", "path": str(file)}, {"name": "safetensors", "path": "out"}):
        _, heard = make.fitted(make.corrkd(data=config))
        series.append((heard.steps, heard.epochs))
    assert series[0] == series[1]


def test_two_conversions_are_equal(mmsa, file):
    first, second = mmsa("data", "convert", file, "one"), mmsa("data", "convert", file, "two")
    assert first.stdout.replace("written: one", "written: two").replace("path=one", "path=two") == second.stdout
    for name in ("train", "valid", "test"):
        one, two = (Path(folder, f"{name}.safetensors").read_bytes() for folder in ("one", "two"))
        assert one == two


@pytest.mark.needs("mmsa-corrkd")
def test_a_converted_file_without_labels_is_predicted(mmsa, file):
    Path("new.pkl").write_bytes(
        pickle.dumps({"test": {k: v for k, v in rows(5, 3, labels=False).items() if k != "audio"}})
    )
    recipe = Path(__file__).parents[1] / "recipes" / "baseline.yaml"
    settings = ["--set", "data.name=mmsa-pickle", "--set", f"data.path={file}", "--set", "train.epochs=1"]
    assert mmsa("train", recipe, "--out", "run", *settings).exit_code == 0
    result = mmsa("data", "convert", "new.pkl", "new")
    assert result.exit_code == 0, result.output
    assert "reader: mmsa-pickle (a pickle in MMSA's schema); set: data.absent=missing\n" in result.stdout
    assert "targets: none" in result.stdout
    from_folder, from_pickle = (mmsa("predict", "run/seed-1111", name) for name in ("new", "new.pkl"))
    assert from_folder.exit_code == 0, from_folder.output
    assert "audio is not in the file and counts as missing" in from_folder.stderr
    assert from_folder.stdout == from_pickle.stdout
    assert len(list(csv.DictReader(io.StringIO(from_folder.stdout)))) == 5


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"not a pickle", [], "nothing that is recognised; name its reader with --reader, one of"),
        (pickle.dumps({"train": {"speech": np.ones((1, 1, 1))}}), [], "a pickle of neither MMSA's nor MulT's schema"),
        (None, ["--reader", "synthetic"], "--reader synthetic: reads no file; readers of files: cmu-sdk, folder"),
        (None, ["--reader", "mmsa-pickl"], "Did you mean 'mmsa-pickle'"),
        (None, ["--set", "train.lr=1"], "--set train.lr=1: expected data.KEY=VALUE"),
        (None, ["--set", "data.path=x"], "expected data.KEY=VALUE"),
        (None, ["--set", "data.token=true"], "data.token: unknown key 'token'. Did you mean 'tokens'"),
        (None, ["--set", "data.score_range=[1, 5]"], "set it in the recipe"),
    ],
)
def test_what_is_asked_for(mmsa, file, content, arguments, message):
    if content is not None:
        file.write_bytes(content)
    result = mmsa("data", "convert", file, "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()


def test_a_file_that_is_not_there(mmsa, tmp_path):
    assert "there is no such file or folder" in mmsa("data", "convert", "nowhere", "out").stderr
    (tmp_path / "empty").mkdir()
    assert "an empty folder; name its reader with --reader" in mmsa("data", "convert", "empty", "out").stderr


def test_what_is_in_our_format_already(mmsa, file):
    assert mmsa("data", "convert", file, "out").exit_code == 0
    for arguments in ([], ["--reader", "safetensors"]):
        assert "is in our format already" in mmsa("data", "convert", "out", "again", *arguments).stderr
    Path("out", "test.safetensors").write_bytes(b"cut")
    assert "not a whole safetensors file" in mmsa("data", "convert", "out", "again").stderr
    assert not Path("again").exists()


def test_a_named_reader_is_said(mmsa, file):
    keys = "data.modalities={voice: audio}"
    result = mmsa("data", "convert", file, "out", "--reader", "mmsa-pickle", "--set", keys)
    assert result.stdout.startswith('reader: mmsa-pickle (as --reader says); set: data.modalities={"voice": "audio"}, ')


REAL = {
    "mosi_dev": ("mmsa-pickle", {}),
    "mosi_lav": ("mmsa-pickle", {}),
    "mmmo_data": ("mult-pickle", {}),
    "youtube_data": ("mult-pickle", {}),
    "meld_text": ("mmsa-pickle", {"tokens": True, "modalities": {"text": "text"}}),
}


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not on this machine (../shared/data)")
@pytest.mark.parametrize("name", REAL)
def test_real_files_come_back_to_the_bit(mmsa, make, name):
    reader, fields = REAL[name]
    result = mmsa("data", "convert", DATA / f"{name}.pkl", "out")
    assert result.exit_code == 0, result.output
    config = registry.datasets.config({"name": reader, "path": DATA / f"{name}.pkl", **fields})
    source = registry.datasets.get(reader)(config).load()
    found = StoredCorpus(StoredCorpus.Config(path="out", verify=True)).load()
    assert (found.notes, dict(found.names)) == (source.notes, dict(source.names))
    there = splits(found)
    assert list(there) == list(source.splits)
    for split, wanted in splits(source).items():
        assert there[split].ids == wanted.ids
        for m, x in wanted.features.items():
            assert torch.equal(there[split].features[m], x)
            assert torch.equal(there[split].observed[m], wanted.observed[m])
        assert all(torch.equal(there[split].targets[key], t) for key, t in wanted.targets.items())
    if name == "mosi_lav":
        encoders = {m: {"name": "pooled"} for m in ("text", "audio", "vision")}
        model = {"dim": 8, "encoders": encoders, "fusion": {"name": "concat"}}
        forms = ({"name": reader, "path": str(DATA / f"{name}.pkl")}, {"name": "safetensors", "path": "out"})
        train = {"epochs": 1, "batch_size": 32, "lr": 1e-3}
        series = [make.fitted(make.tiny(data=form, model=model, train=train))[1].steps for form in forms]
        assert series[0] == series[1]


def test_statistics_do_not_depend_on_the_form(mmsa, make, file):
    mmsa("data", "convert", file, "out")
    forms = ({"name": "mmsa-pickle", "path": str(file)}, {"name": "safetensors", "path": "out"})
    one, two = (data.load(make.tiny(data=form)).splits["train"].features["audio"].statistics for form in forms)
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(one.deviation, two.deviation)
