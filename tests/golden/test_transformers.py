"""Golden Transformers: parts of the Multimodal Transformer's public code, and the whole of it."""

import pytest

pytest.importorskip("mmsa_dmd", reason="needs the plugin mmsa-dmd")
import torch
from mmsa_dmd import names
from torch import nn

from mmsa_core import assemble
from mmsa_core.attention import positions
from mmsa_core.attention.frames import Frames
from mmsa_core.attention.stack import Rates, Stack
from mmsa_core.recipes import recipe_file
from mmsa_core.types import Batch

pytestmark = pytest.mark.usefixtures("few")

CPU = (torch.device("cpu"), torch.float32)


def frames(x):
    """[time, batch, dim] as published; a frame whose first channel is exactly 0 is not there."""
    return Frames(x.transpose(0, 1), (x[:, :, 0] != 0).T)


@pytest.mark.golden("transformer_parts")
def test_parts(golden_set):
    close = {"rtol": 1e-5, "atol": 1e-6}
    for case, c in golden_set.json["encoders"].items():
        t = {k.removeprefix(f"{case}."): v for k, v in golden_set.tensors.items() if k.startswith(f"{case}.")}
        stack = Stack(2, c["embed"], c["heads"], c["layers"], Rates([0.0, 0.0]), causal=c["mask"]).eval()
        size = names.Size(2, c["layers"])
        state = {f"t.{k.removeprefix('state.')}": v for k, v in t.items() if k.startswith("state.")}
        places = [place for member in (0, 1) for place in names.transformer("t", "s", member, size)]
        own = {f"s.{k}": v for k, v in stack.named_parameters()}
        stack.load_state_dict({k.removeprefix("s."): v for k, v in names.to_ours(places, state, own).items()})
        cross, alone = stack([frames(t["x"])] * 2, [frames(t["kv"])])
        torch.testing.assert_close(cross.transpose(0, 1), t["cross"], **close)
        torch.testing.assert_close(alone.transpose(0, 1), t["self"], **close)
        torch.testing.assert_close(alone.transpose(0, 1), t["two_args"], **close)
        last = stack([frames(t["x"])] * 2, [frames(t["kv"])], last=[0, 1])
        for x, found in zip((t["cross"], t["self"]), last, strict=True):
            torch.testing.assert_close(found, x[-1], **close)
    for name, value in golden_set.tensors.items():
        if name.startswith("sinusoid."):
            torch.testing.assert_close(positions.table(60, int(name.split(".")[1]), *CPU), value, **close)
        if name.startswith("mask."):
            queries, keys = map(int, name.split(".")[1].split("x"))
            assert torch.equal(positions.causal(queries, keys, *CPU) == 0, value)
    real = golden_set.tensors["positions.in"] != 0
    assert torch.equal(positions.indices(real), golden_set.tensors["positions.out"])


@pytest.mark.golden("mult")
def test_mult(golden_set):
    c, dim = golden_set.json["config"], golden_set.json["common_dim"]
    channels = {"text": c["orig_d_l"], "audio": c["orig_d_a"], "vision": c["orig_d_v"]}
    data = {
        "name": "golden",
        "data": {"name": "synthetic"},
        "task": {"kind": "classification", "classes": c["output_dim"]},
        "model": {
            "dim": dim,
            "encoders": {m: {"name": "projection"} for m in channels},
            "fusion": {"name": "crossmodal", "heads": c["num_heads"], "layers": c["layers"], "causal": c["attn_mask"]},
        },
        "train": {"epochs": 1, "batch_size": 4},
    }
    made = recipe_file.build(data, [], "golden")
    model = assemble.model(made.model, made.task, channels, channels, seed=0).eval()
    places = list(names.crossmodal("fusion.crossmodal", c["layers"], alone=False))
    for m, name in names.MODALITIES.items():
        places.append(names.Place(f"proj_{m}.weight", f"encoders.{name}.convolution.weight"))
    for theirs, ours in (("proj1", "inner"), ("proj2", "outer"), ("out_layer", "head")):
        places += [names.Place(f"{theirs}.{p}", f"fusion.{ours}.{p}") for p in ("weight", "bias")]
    public = {k.removeprefix("model."): v.float() for k, v in golden_set.tensors.items() if k.startswith("model.")}
    state = names.to_ours(places, public, dict(model.named_parameters()))
    assert set(state) == {name for name, _ in model.named_parameters()}
    model.load_state_dict(state, strict=False)
    assert isinstance(model, nn.Module)
    for case in golden_set.json["cases"]:
        x = {m: golden_set.tensors[f"{case}.in.{m}"] for m in channels}
        n = torch.arange(len(x["text"]))
        out = model(Batch(x, {m: (v != 0).any(dim=2) for m, v in x.items()}, torch.zeros(len(n)), n, n))
        for found, name in ((out.logits, "output"), (out.joint, "last_hidden")):
            torch.testing.assert_close(found, golden_set.tensors[f"{case}.out.{name}"], rtol=1e-4, atol=1e-5)
