"""What components are tried with: batches with padding, holes and absent modalities, and outputs that fit them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsa_core import missing
from mmsa_core.components import Context
from mmsa_core.corpora.corpus import LABEL, LABELS
from mmsa_core.encoders import masked
from mmsa_core.tasks import BinaryLabels, Bins, Classification, Regression, TaskBase
from mmsa_core.types import Batch, Encoded, Modality, Outputs, map_tensors

MODALITIES = ("text", "audio", "vision", "touch")
TASKS: tuple[TaskBase, ...] = (
    Regression(),
    Bins(classes=2),
    Bins(classes=7),
    Classification(classes=4),
    BinaryLabels(names=("happy", "sad")),
)
"""One task of every kind, and the one whose targets may have no category."""
PADDING = 3
"""Frames of padding that are tried."""
ORDER = (3, 5, 0, 2, 1, 4)
"""Another order of a batch."""
COUNTS = (1, 2, 3, 4)
"""Numbers of modalities that a component is tried with."""

Build = Callable[[Batch, Context, int], Outputs]


def batch(
    modalities: int | Sequence[Modality] = 3, samples: int = 6, task: TaskBase = TASKS[0], seed: int = 0
) -> Batch:
    """Samples with modalities of different width and length, with padding, holes and absent modalities.

    The first sample has every modality, of several ones each of the next lacks another; what stands
    at unobserved frames is not zero.
    """
    names = MODALITIES[:modalities] if isinstance(modalities, int) else tuple(modalities)
    source = torch.Generator().manual_seed(seed)
    row = torch.arange(samples).unsqueeze(1)
    features, observed = {}, {}
    for i, m in enumerate(names):
        time = 7 + i
        frame = torch.arange(time)
        length = time - (row + i) % (time // 2)
        features[m] = torch.randn(samples, time, 4 + i, generator=source)
        ends = (frame == 1) | (frame == length - 1)
        seen = (frame < length) & ((torch.rand(samples, time, generator=source) < 0.8) | ends)
        lacks = (row % (len(names) + 1) == i + 1) & (len(names) > 1)
        observed[m] = seen & ~lacks
    if task.needs == LABELS:
        target = torch.randint(0, 2, (samples, task.groups), generator=source)
    elif task.needs == LABEL:
        target = torch.randint(0, task.class_count, (samples,), generator=source)
    else:
        target = torch.randint(-3, 4, (samples,), generator=source).float()
        target[:1] = 1.0
    key = missing.keys([f"sample {i}" for i in range(samples)])
    return Batch(features, observed, target, torch.arange(samples), key)


def context(of: Batch, task: TaskBase = TASKS[0], dim: int = 40, padding: int = PADDING) -> Context:
    """What a component would be built from for a batch, with room for `padding` more frames."""
    return Context(
        channels={m: x.shape[2] for m, x in of.features.items()},
        lengths={m: x.shape[1] + padding for m, x in of.features.items()},
        dim=dim,
        task=task,  # type: ignore[arg-type]
    )


def encoded(of: Batch, context: Context, seed: int = 0) -> dict[Modality, Encoded]:
    """A fixed projection of the observed frames, and their mean: the simplest encoder that conforms."""
    found = {}
    for m, x in of.features.items():
        source = torch.Generator().manual_seed(missing.derive(seed, m))
        weight = torch.randn(x.shape[2], context.dim, generator=source)
        sequence = masked.fill(masked.fill(x, of.observed[m]) @ weight, of.observed[m])
        found[m] = Encoded(sequence, of.observed[m], masked.mean(sequence, of.observed[m]))
    return found


def outputs(of: Batch, context: Context, seed: int = 0) -> Outputs:
    """Outputs that fit a batch, of a model that concatenates and has random weights."""
    found = encoded(of, context, seed)
    joint = torch.cat([e.pooled for e in found.values()], dim=1)
    source = torch.Generator().manual_seed(missing.derive(seed, "head"))
    return Outputs(found, joint, joint @ torch.randn(joint.shape[1], context.task.width, generator=source))


def rows(of: Any, index: Tensor) -> Any:
    """Some samples of a batch, of outputs or of encoded modalities."""
    return map_tensors(lambda x: x[index], of)


def poisoned(of: Batch, value: float) -> Batch:
    """The batch with `value` wherever no frame is observed."""
    unseen = {m: ~o.unsqueeze(2) for m, o in of.observed.items()}
    return replace(of, features={m: x.masked_fill(unseen[m], value) for m, x in of.features.items()})


def padded(of: Batch, frames: int) -> Batch:
    """The batch with more padding behind every modality."""
    longer = {m: F.pad(x, (0, 0, 0, frames), value=9.0) for m, x in of.features.items()}
    return replace(of, features=longer, observed={m: F.pad(o, (0, frames)) for m, o in of.observed.items()})


def cast(of: Any, dtype: torch.dtype) -> Any:
    """The same with floating tensors of another type."""
    return map_tensors(lambda x: x.to(dtype) if x.is_floating_point() else x, of)


def flat(of: Any) -> list[Tensor]:
    """All its tensors."""
    found: list[Tensor] = []

    def kept(x: Tensor) -> Tensor:
        found.append(x.detach())
        return x

    map_tensors(kept, of)
    return found


def leaves(of: Any) -> tuple[Any, list[Tensor]]:
    """The same tensors cut from their history, and those of them that take gradients."""
    found: list[Tensor] = []

    def cut(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        found.append(x.detach().clone().requires_grad_())
        return found[-1]

    return map_tensors(cut, of), found


def tokens(of: Batch, vocabulary: int, seed: int = 0) -> Batch:
    """The batch with a token in place of each frame: id below `vocabulary`, attention mask, segment id 0."""
    source, sentences = torch.Generator().manual_seed(seed), {}
    for m, seen in of.observed.items():
        ids = torch.randint(vocabulary, seen.shape, generator=source)
        sentences[m] = torch.stack([ids, seen.long(), torch.zeros_like(ids)], dim=2).float()
    return replace(of, features=sentences)
