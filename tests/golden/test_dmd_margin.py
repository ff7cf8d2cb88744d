"""Golden DMD margin loss: the published class's numbers."""

import pytest

pytest.importorskip("mmsa_dmd", reason="needs the plugin mmsa-dmd")
import torch
from mmsa_dmd.margin import label_gap, margin_loss

pytestmark = pytest.mark.golden("dmd_margin")


def test_margin_loss(golden_set):
    numbers = golden_set.json["values"]
    assert set(golden_set.json) == {"source", "values", "tolerance", "note"}
    assert golden_set.json["tolerance"] == "rtol 1e-5"
    assert set(golden_set.tensors) == {f"{case}.{key}" for case in numbers for key in ("feats", "ids", "loss")}
    for case, expected in numbers.items():
        x, y = golden_set.tensors[f"{case}.feats"], golden_set.tensors[f"{case}.ids"][:, 0]
        loss = margin_loss(x, label_gap(y), scale=0.15)
        for value in (torch.tensor(expected), golden_set.tensors[f"{case}.loss"].float()):
            torch.testing.assert_close(loss, value, rtol=1e-5, atol=0)
