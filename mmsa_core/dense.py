"""A modality of a split as padded tensors, and a split with other ones: for what makes, damages and writes data."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.corpus import Split
from mmsa_core.types import Modality

Padded = tuple[Float[Tensor, "samples time channels"], Bool[Tensor, "samples time"]]
"""Features, and which frames are observed."""


def of(split: Split, modality: Modality) -> Padded:
    """A modality of a split."""
    return split.features[modality], split.observed[modality]


def changed(split: Split, modality: Modality, x: Padded) -> Split:
    """The split with another content of one modality."""
    features, observed = x
    return replace(
        split,
        features={**split.features, modality: features},
        observed={**split.observed, modality: observed},
    )


def joined(split: Split, other: Split, ids: tuple[str, ...]) -> Split:
    """A split and the first samples of another after it, under the given names."""
    count = len(ids)
    parts = {m: (of(split, m), of(other, m)) for m in split.features}
    targets: Mapping[str, Tensor] = {n: torch.cat([t, other.targets[n][:count]]) for n, t in split.targets.items()}
    return Split(
        ids=(*split.ids, *ids),
        features={m: torch.cat([a[0], b[0][:count]]) for m, (a, b) in parts.items()},
        observed={m: torch.cat([a[1], b[1][:count]]) for m, (a, b) in parts.items()},
        targets=targets,
    )
