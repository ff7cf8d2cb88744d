"""What every fusion must hold."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from mmsa_core.components import Context, Fusion
from mmsa_core.tasks import TaskBase
from mmsa_core.testing.compare import finite, require, same_outputs
from mmsa_core.testing.samples import COUNTS, TASKS, Encode, batch, context, encoded, leaves, padded, poisoned, rows
from mmsa_core.types import Batch, Outputs


def check_fusion(
    component: type[Fusion],
    config: Any = None,
    *,
    counts: Sequence[int] = COUNTS,
    tasks: Sequence[TaskBase] = TASKS,
    encode: Encode = encoded,
    dim: int = 8,
    padding: int = 3,
) -> None:
    """Any modality may be absent, samples do not influence each other, outputs are of the class it gives."""
    config = component.Config() if config is None else config
    for count, task in [(n, tasks[0]) for n in counts] + [(counts[-1], task) for task in tasks[1:]]:
        who = f"{component.__name__} ({count} modalities, task {getattr(task, 'kind', '')})"
        full = batch(count, task=task)
        full = full.hide({m: _only(o, 3) for m, o in full.observed.items()})
        made = context(full, task, dim, padding)
        torch.manual_seed(0)
        fusion = component(config, made).eval()

        def run(of: Batch, fusion: Fusion = fusion, made: Context = made) -> Outputs:
            found: Outputs = fusion(encode(of, made))
            return found

        require(
            bool(padding) or fusion.fixed_length,
            who,
            "the result depends on padding, as `padding=0` says, and `fixed_length` does not say so",
        )
        out = run(full)
        require(isinstance(out, component.gives), who, f"outputs are not {component.gives.__name__}")
        require(out.logits.shape == (len(full), task.width), who, f"logits have shape {tuple(out.logits.shape)}")
        require(out.joint.dim() == 2 and len(out.joint) == len(full), who, "joint is not [batch, width]")
        require(set(out.encoded) == set(full.observed), who, "encoded lacks a modality")
        require(finite([out.joint, out.logits]), who, "outputs are not finite where modalities are absent")
        order = torch.tensor([3, 5, 0, 2, 1, 4])
        same_outputs(who, "the order of samples matters", run(rows(full, order)), rows(out, order))
        for i in range(len(full)):
            alone, one = run(rows(full, torch.tensor([i]))), rows(out, torch.tensor([i]))
            same_outputs(who, f"sample {i} alone differs from itself in a batch", alone, one)
        spoiled = run(poisoned(full, float("nan")))
        same_outputs(who, "NaN at hidden frames changes the result", spoiled, out)
        if padding:
            same_outputs(who, "appending padding frames changes the result", run(padded(full, padding)), out)
        flipped = replace(full, features={m: -x for m, x in full.features.items()})
        require((run(flipped).logits != out.logits).any(), who, "the encoded modalities change nothing")
        parts = dict(encode(full, made))
        backwards = fusion({m: parts[m] for m in reversed(parts)})
        same_outputs(who, "the order of the mapping matters", backwards, out)
        cut, leaf = leaves(parts)
        out = fusion.train()(cut)
        own: list[Tensor] = [p for p in fusion.parameters() if p.requires_grad]
        total = (out.logits * torch.randn_like(out.logits)).sum() + (out.joint * torch.randn_like(out.joint)).sum()
        found = torch.autograd.grad(total, leaf + own, allow_unused=True)
        require(finite(found), who, "a gradient is not finite where modalities are absent")


def _only(observed: Bool[Tensor, "batch time"], sample: int) -> Bool[Tensor, "batch time"]:
    """True at every frame of one sample."""
    return (torch.arange(len(observed)) == sample).unsqueeze(1).expand_as(observed)
