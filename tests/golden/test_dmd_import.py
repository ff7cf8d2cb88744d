"""Golden DMD: a checkpoint of the public code, imported, predicts the published numbers."""

import csv
import json
import pickle

import pytest
import torch
from click.testing import CliRunner

from mmsa_core.cli import main
from mmsa_core.run_folder import checkpoint
from mmsa_core.types import Batch

pytestmark = pytest.mark.needs("mmsa-dmd")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
MODALITIES = ("text", "audio", "vision")


@pytest.fixture
def folder(other_golden, tmp_path, monkeypatch):
    """The run that `mmsa import dmd` makes of the published weights."""
    monkeypatch.chdir(tmp_path)
    golden = other_golden("dmd_mosi_small")
    torch.save(
        {k.removeprefix("model."): v for k, v in golden.tensors.items() if k.startswith("model.")}, "mosi-aligned.pth"
    )
    heads = golden.json["config"]["dst_feature_dim_nheads"][1]
    mmsa("import", "dmd", "mosi-aligned.pth", "--out", "run", "--set", f"model.fusion.heads={heads}")
    return tmp_path / "run"


def mmsa(*arguments):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.golden("dmd_mosi_small", exclude=("dmd_mosi_small_epoch",))
def test_logits(golden_set, folder):
    loaded = checkpoint.load(folder)
    x = {m: golden_set.tensors[f"in.{m}"] for m in MODALITIES}
    assert dict(loaded.channels) == {m: v.shape[2] for m, v in x.items()}
    assert dict(loaded.lengths) == {m: v.shape[1] for m, v in x.items()}
    n = torch.arange(len(x["text"]))
    batch = Batch(x, {m: (v != 0).any(dim=2) for m, v in x.items()}, torch.zeros(len(n)), n, n)
    torch.testing.assert_close(loaded.model(batch).logits, golden_set.tensors["out.output_logit"], **CLOSE)


@pytest.mark.golden("dmd_mosi_small", exclude=("dmd_mosi_small_epoch",))
def test_predict(golden_set, folder):
    rows = {m: golden_set.tensors[f"in.{m}"].numpy() for m in MODALITIES}
    rows["id"] = [f"clip$_${row}" for row in range(len(rows["text"]))]
    with open("new.pkl", "wb") as file:
        pickle.dump({"test": rows}, file)
    found = list(csv.DictReader(mmsa("predict", "run", "new.pkl").splitlines()))
    assert [row["id"] for row in found] == rows["id"]
    logits = torch.tensor([[float(row["prediction"])] for row in found])
    torch.testing.assert_close(logits, golden_set.tensors["out.output_logit"], **CLOSE)


@pytest.mark.golden("dmd_mosi_small", exclude=("dmd_mosi_small_epoch", "dmd_mosi_small_missing"))
def test_what_is_written(golden_set, folder):
    about = json.loads((folder / "provenance.json").read_text())
    assert about["importer"]["name"] == "dmd"
    recipe, c = checkpoint.load(folder).recipe, golden_set.json["config"]
    assert recipe.model.dim == c["dst_feature_dim_nheads"][0]
    assert recipe.model.fusion.layers == c["nlevels"]
    assert [e.kernel for e in recipe.model.encoders.values()] == [c[f"conv1d_kernel_size_{m}"] for m in "lav"]
