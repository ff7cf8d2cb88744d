"""What every encoder must hold."""

from dataclasses import replace
from typing import Any

import torch

from mmsa_core.components import Encoder
from mmsa_core.testing.compare import finite, require, same_encoded, shapes
from mmsa_core.testing.samples import batch, context, padded, rows, tokens


def check_encoder(
    component: type[Encoder], config: Any = None, *, dim: int = 8, padding: int = 3, vocabulary: int = 0
) -> None:
    """Hidden frames have no influence, an absent modality is zero, and samples do not influence each other.

    `padding` is the number of padding frames that are tried; 0 for an encoder that says `fixed_length`.
    `vocabulary` is the number of token ids of an encoder that reads tokens; 0 for one that reads features.
    """
    config = component.Config() if config is None else config
    full = batch(1, samples=6)
    full = tokens(full, vocabulary) if vocabulary else full
    (m,) = full.features
    x, seen = full.features[m], full.observed[m].clone()
    seen[1] = False
    seen[2], seen[2, -1] = False, True
    who, made = component.__name__, context(full, dim=dim, padding=padding)
    torch.manual_seed(0)
    encoder = component(config, made, m).eval()
    require(
        bool(padding) or encoder.fixed_length,
        who,
        "the result depends on padding, as `padding=0` says, and `fixed_length` does not say so",
    )
    out = encoder(x, seen)
    shapes(who, out, len(seen), dim)
    require(not out.pooled[1].any(), who, "a sample without any observed frame has `pooled` other than zero")
    require(not out.observed[1].any(), who, "a sample without any observed frame has observed steps")
    require(out.present[[0, 2]].all(), who, "a sample with observed frames has no observed step")
    require(not out.sequence[~out.observed].any(), who, "unobserved steps of `sequence` are not zero")
    for value in (float("nan"), float("inf"), 1e4):
        spoiled = encoder(x.masked_fill(~seen.unsqueeze(2), value), seen)
        same_encoded(who, f"{value} at hidden frames changes the result", spoiled, out)
    with torch.no_grad():
        same_encoded(who, "the result is another one without gradients", encoder(x, seen), out)
    other = encoder(torch.cat([(x[..., :1] + 1) % vocabulary, x[..., 1:]], dim=2) if vocabulary else -x, seen)
    require((other.pooled != out.pooled).any(dim=1)[seen.any(dim=1)].all(), who, "observed frames change nothing")
    if padding:
        longer = padded(replace(full, observed={m: seen}), padding)
        again = encoder(longer.features[m], longer.observed[m])
        same_encoded(who, "appending padding frames changes the result", again, out)
        shapes(f"{who} on a single frame", encoder(x[:, :1], seen[:, :1]), len(seen), dim)
    order = torch.tensor([3, 5, 0, 2, 1, 4])
    same_encoded(who, "the order of samples matters", encoder(x[order], seen[order]), rows(out, order))
    for i in range(len(seen)):
        alone = encoder(x[i : i + 1], seen[i : i + 1])
        same_encoded(who, f"sample {i} alone differs from itself in a batch", alone, rows(out, torch.tensor([i])))
    leaf = x.masked_fill(~seen.unsqueeze(2), float("nan")).requires_grad_()
    out = encoder.train()(leaf, seen)
    total = sum((t * torch.randn_like(t)).sum() for t in (out.sequence, out.pooled))
    own = [p for p in encoder.parameters() if p.requires_grad]
    to_input, *to_own = torch.autograd.grad(total, [leaf, *own], allow_unused=True)
    if not vocabulary:
        require(to_input is not None and to_input[seen].any(), who, "observed frames get no gradient")
        require(to_input.isfinite().all() and not to_input[~seen].any(), who, "hidden frames get a gradient")
    require(finite(to_own), who, "a parameter's gradient is not finite when hidden frames are NaN")
