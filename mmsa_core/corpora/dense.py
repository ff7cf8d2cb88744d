"""A modality of a split as padded tensors, and a split with other ones: for what makes, damages and writes data."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.types import Modality

Padded = tuple[Float[Tensor, "samples time channels"], Bool[Tensor, "samples time"]]
"""Features, and which frames are observed."""


def of(split: Split, modality: Modality) -> Padded:
    """A modality of a split."""
    return split.features[modality].padded()


def changed(split: Split, modality: Modality, x: Padded) -> Split:
    """The split with another content of one modality."""
    return replace(split, features={**split.features, modality: Sequences.of(*x)})


def joined(split: Split, other: Split, ids: tuple[str, ...]) -> Split:
    """A split and the first samples of another after it, under the given names."""
    count, features = len(ids), {}
    for m, own in split.features.items():
        time = max(own.longest, other.features[m].longest)
        sides = own.padded(time), tuple(x[:count] for x in other.features[m].padded(time))
        features[m] = Sequences.of(*(torch.cat(pair) for pair in zip(*sides, strict=True)))
    targets: Mapping[str, Tensor] = {n: torch.cat([t, other.targets[n][:count]]) for n, t in split.targets.items()}
    return Split((*split.ids, *ids), features, targets)
