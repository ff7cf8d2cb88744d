"""`mmsa export`: what it writes, and what it refuses."""

import csv
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra export is not installed")

import onnxruntime

import mmsa_core
from mmsa_core import registry
from mmsa_core.corpora import data
from mmsa_core.corpora.batching import batches
from mmsa_core.encoders.pooled import PooledEncoder
from mmsa_core.export import exporting
from mmsa_core.run_folder import checkpoint
from mmsa_core.training import experiment

MOSI = Path(__file__).parents[2].parent / "shared" / "data" / "mosi_dev.pkl"
POOLED = {"name": "pooled"}


@pytest.fixture(scope="module")
def run(tmp_path_factory, make):
    encoders = {"text": POOLED, "audio": POOLED}
    recipe = make.tiny(model={"dim": 4, "encoders": encoders, "fusion": {"name": "concat"}}, seeds=[1, 2])
    return experiment.train(recipe, tmp_path_factory.mktemp("export") / "run", torch.device("cpu"))


def test_the_file_describes_itself(mmsa, run, tmp_path):
    done = mmsa("export", run, "--seed", "2", "--format", "onnx", "--out", "two.onnx")
    assert done.exit_code == 0, done.output
    assert "compared with the network in 8 cases: the same up to rounding\nwritten: two.onnx" in done.output
    session = onnxruntime.InferenceSession(tmp_path / "two.onnx")
    inputs = {each.name: (each.type, each.shape[2:]) for each in session.get_inputs()}
    widths = checkpoint.load(run / "seed-2").channels
    assert inputs == {
        "text": ("tensor(float)", [widths["text"]]),
        "audio": ("tensor(float)", [widths["audio"]]),
        "text_observed": ("tensor(bool)", []),
        "audio_observed": ("tensor(bool)", []),
    }
    assert [each.name for each in session.get_outputs()] == ["logits", "prediction"]
    about = json.loads(session.get_modelmeta().custom_metadata_map["mmsa"])
    assert (about["run"]["name"], about["run"]["seed"], about["calibration"]) == ("tiny", 2, None)
    assert about["task"]["kind"] == "bins"
    student = mmsa_core.load_exported(tmp_path / "two.onnx")
    assert repr(student).startswith("<Exported two.onnx: tiny, reads text ")
    x, seen = np.zeros((2, 3, widths["text"])), np.ones((2, 3), dtype=bool)
    assert student({"text": x}, {"text": seen})["prediction"].shape == (2,)
    for features, observed in [({"txt": x}, {"txt": seen}), ({"text": x}, {}), ({}, {})]:
        with pytest.raises(mmsa_core.UserError, match="of the same modalities, among text, audio; found"):
            student(features, observed)
    for features, observed in [(x[..., 1:], seen), (x, seen[:1]), (x[0], seen[0])]:
        with pytest.raises(mmsa_core.UserError, match=r"'text' has features .* and a mask .*; expected"):
            student({"text": features}, {"text": observed})


def test_what_is_asked_for_wrongly_is_refused(mmsa, run, tmp_path):
    (tmp_path / "there.pt2").write_text("mine")
    for arguments, said in (
        ((), "holds seed-1, seed-2; name one of them, or say --seed"),
        (("--seed", "3"), "--seed 3: "),
        (("--seed", "1", "--out", "there.pt2"), "there.pt2: exists, and nothing is overwritten"),
        (("--seed", "1", "--out", "student.onnx"), "expected a name that ends in .pt2"),
    ):
        done = mmsa("export", run, "--format", "pt2", *arguments)
        assert done.exit_code == 2
        assert said in done.output
    assert (tmp_path / "there.pt2").read_text() == "mine"


def test_the_calibration_goes_along_and_is_not_applied(mmsa, run, tmp_path):
    assert mmsa("calibrate", run, "--draws", "1").exit_code == 0
    done = mmsa("export", run / "seed-1", "--format", "pt2", "--out", "one.pt2")
    assert "its outputs are without it" in done.output
    about = mmsa_core.load_exported(tmp_path / "one.pt2", trusted=True).about
    assert about["calibration"]["format"] == "mmsa-calibration-1"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pt2_file_of_a_stranger_is_not_opened(mmsa, run, tmp_path):
    assert mmsa("export", run / "seed-1", "--format", "pt2", "--out", "one.pt2").exit_code == 0
    with zipfile.ZipFile("one.pt2") as whole, zipfile.ZipFile("odd.pt2", "w") as odd:
        for name in whole.namelist():
            inputs = "sample_inputs" in name
            odd.writestr(name, pickle.dumps(Touch(tmp_path / "ran"), 2) if inputs else whole.read(name))
    with pytest.raises(mmsa_core.UserError, match=r"odd.pt2: torch runs .* trusted=True"):
        mmsa_core.load_exported("odd.pt2")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(mmsa_core.UserError):
        mmsa_core.load_exported("odd.pt2", trusted=True)
    assert (tmp_path / "ran").exists()  # why it must be trusted


class Branching(PooledEncoder):
    """Decides by the numbers that it sees, which no graph can."""

    def forward(self, features, observed):
        if bool(observed.all()):
            features = features * 2
        return super().forward(features, observed)


class Tokens(PooledEncoder):
    raw = True


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (Branching, r"encoder 'test.odd' of 'audio' cannot be exported as pt2: .*Nothing was written"),
        (Tokens, "encoder 'test.odd' of 'audio' cannot be exported: it reads features as they are"),
    ],
)
def test_a_component_that_cannot_be_exported_is_named(component, said, make, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.encoders._loaded, "test.odd", component)
    encoders = {"text": POOLED, "audio": {"name": "test.odd"}}
    recipe = make.tiny(model={"dim": 4, "encoders": encoders, "fusion": {"name": "concat"}}, masker=None)
    folder = experiment.train(recipe, tmp_path / "run", torch.device("cpu"))
    with pytest.raises(mmsa_core.UserError, match=said):
        exporting.export(folder, "pt2")
    assert not [path for path in (folder / "seed-1").iterdir() if "student.pt2" in path.name]


@pytest.mark.parametrize(("name", "content"), [("a.onnx", b"x"), ("a.pt2", b"x"), ("a.pt2", b"")])
def test_another_file_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(mmsa_core.UserError, match="not a file of mmsa export"):
        mmsa_core.load_exported(tmp_path / name, trusted=True)


@pytest.mark.needs("mmsa-corrkd")
@pytest.mark.skipif(not MOSI.is_file(), reason="shared/data is not here")
def test_the_test_split_of_mosi_is_predicted_as_by_the_run(mmsa, tmp_path):
    root = Path(__file__).parents[2]
    small = ("--set", "data.name=mmsa-pickle", "--set", f"data.path={MOSI}", "--set", "train.epochs=1")
    small += tuple(part for m in ("text", "audio", "vision") for part in ("--set", f"model.encoders.{m}.layers=1"))
    trained = mmsa("train", root / "recipes" / "baseline.yaml", *small, "--set", "track={}", "--out", "run")
    assert trained.exit_code == 0, trained.output
    assert mmsa("export", "run", "--format", "onnx", "--out", "mosi.onnx").exit_code == 0
    assert mmsa("predict", "run", MOSI, "--split", "test", "--out", "test.csv").exit_code == 0
    with open("test.csv", newline="") as file:
        wanted = {row["id"]: float(row["prediction"]) for row in csv.DictReader(file)}
    loaded, file = checkpoint.load(Path("run/seed-1111")), mmsa_core.load_exported("mosi.onnx")
    split = data.load(loaded.recipe).splits["test"]
    found = {}
    for batch in batches(split, None, 50):  # other padding than that of the run's prediction
        x, seen = ({m: t.numpy() for m, t in each.items()} for each in (batch.features, batch.observed))
        ids = [split.ids[row] for row in batch.index.tolist()]
        found |= dict(zip(ids, file(x, seen)["prediction"].tolist(), strict=True))
    assert len(found) > 100
    assert [found[name] for name in wanted if name in found] == pytest.approx(
        [wanted[name] for name in wanted if name in found], abs=1e-4
    )
    assert np.std(list(found.values())) > 0.01
