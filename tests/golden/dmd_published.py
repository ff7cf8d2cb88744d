"""The published network of a golden set, built here: recipe, weights by the name map, and the batch."""

from typing import Any

import torch
from mmsa_dmd import names

from mmsa_core import assemble
from mmsa_core.recipes import recipe_file
from mmsa_core.types import Batch


def recipe(golden, axis="frame", **train):
    """The published network and losses with the sizes of a golden set, dropout off."""
    c = golden.json["config"]
    dim, heads = c["dst_feature_dim_nheads"]
    distill = golden.json["distill"]
    graphs = {
        label: {
            "name": "dmd.graph",
            "weight": 0.05,
            "nodes": nodes,
            "hidden": distill[label]["gd_size"],
            "priors": priors(distill, label),
            "prior_temperature": distill["prior_temperature"],
            "regularization": distill["gd_reg"],
            "logit_weight": distill["w_losses"][0],
            "representation_weight": distill["w_losses"][1],
            "metric": distill["metric"],
            "alpha": distill["alpha"],
        }
        for label, nodes in (("homo", "homogeneous"), ("hetero", "heterogeneous"))
    }
    data: dict[str, Any] = {
        "name": "golden",
        "data": {"name": "synthetic"},
        "task": {"kind": "regression"},
        "model": {
            "dim": dim,
            "encoders": {
                name: {"name": "dmd.encoder", "kernel": c[f"conv1d_kernel_size_{m}"]}
                for m, name in names.MODALITIES.items()
            },
            "fusion": {"name": "dmd.decoupled", "heads": heads, "layers": c["nlevels"], "causal": c["attn_mask"]},
        },
        "distillers": {
            **graphs,
            "branches": {"name": "dmd.branch_supervision"},
            "reconstruction": {"name": "dmd.reconstruction", "weight": 0.1},
            "orthogonality": {"name": "dmd.orthogonality", "weight": 0.01, "axis": axis},
            "margin": {"name": "dmd.margin", "weight": 0.01},
        },
        "train": {"epochs": 1, "batch_size": golden.json["batch"], **train},
        "log": {"gradients_every": 0},
    }
    return recipe_file.build(data, [], "golden")


def priors(distill, label):
    """The published priors by name: positions are student <- teacher over l, v, a."""
    pairs = [edge.split("<-") for edge in distill["edge_order_student_from_teacher"]]
    named = {f"{names.MODALITIES[i]}<-{names.MODALITIES[j]}": (i, j) for i, j in pairs}
    return dict(zip(named, distill[label]["prior_logits"], strict=True))


def channels(golden):
    return dict(zip(("text", "audio", "vision"), golden.json["config"]["feature_dims"], strict=True))


def lengths(golden):
    """Frames of each modality, and steps behind its projection by its published letter."""
    c = golden.json["config"]
    seen = {name: golden.tensors[f"in.{name}"].shape[1] for name in names.MODALITIES.values()}
    return seen, {m: seen[n] - c[f"conv1d_kernel_size_{m}"] + 1 for m, n in names.MODALITIES.items()}


def places(golden):
    c = golden.json["config"]
    return list(names.network(c["nlevels"], c["dst_feature_dim_nheads"][0], lengths(golden)[1]))


def build(golden, made):
    """Student in eval mode and loss terms, with the published weights."""
    seen, _ = lengths(golden)
    model = assemble.model(made.model, made.task, channels(golden), seen, seed=0)
    terms = assemble.distillers(made, channels(golden), seen, 0)
    published = {k.removeprefix("model."): v for k, v in golden.tensors.items() if k.startswith("model.")}
    mapped = {place.published for place in places(golden)}
    assert {k for k in published if k not in mapped} == {
        k for k in published if k.endswith((".version", "._float_tensor"))
    }
    found = names.to_ours(places(golden), published, dict(model.named_parameters()))
    assert set(found) == {name for name, _ in model.named_parameters()}
    model.load_state_dict(found, strict=False)
    for label in ("homo", "hetero"):
        kernel = {k.removeprefix(f"{label}."): v for k, v in golden.tensors.items() if k.startswith(f"{label}.")}
        found = names.to_ours(names.graph(label), kernel, {})
        assert set(found) == {k for k, _ in terms.named_parameters() if k.startswith(f"{label}.")}
        terms.load_state_dict(found, strict=False)
    return model.eval(), terms.eval()


def batch(features, target=None):
    """A batch of published inputs: a frame that is zero throughout is not there."""
    x = {name: features[name] for name in ("text", "audio", "vision")}
    n = torch.arange(len(x["text"]))
    return Batch(
        x, {m: (v != 0).any(dim=2) for m, v in x.items()}, torch.zeros(len(n)) if target is None else target, n, n
    )
