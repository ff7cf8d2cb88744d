"""What DMD's fusion gives beside a prediction: features taken apart, and a prediction of every branch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.types import Modality, Outputs


@dataclass(frozen=True, slots=True)
class Node:
    """A modality in a distillation graph: what it predicts alone, and from which representation."""

    logits: Float[Tensor, "batch width"]
    representation: Float[Tensor, "batch _wide"]


@dataclass(frozen=True)
class Nodes(Mapping[Modality, Node]):
    """The nodes of one graph, side by side."""

    names: tuple[Modality, ...]
    logits: Float[Tensor, "batch nodes width"]
    representation: Float[Tensor, "batch nodes wide"]

    def __getitem__(self, name: Modality) -> Node:
        if name not in self.names:
            raise KeyError(name)
        at = self.names.index(name)
        return Node(self.logits[:, at], self.representation[:, at])

    def __iter__(self) -> Iterator[Modality]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def nodes_of(x: Mapping[Modality, Node], names: tuple[Modality, ...]) -> Nodes:
    """Logits and representations of all nodes, in the order of `names`."""
    if isinstance(x, Nodes) and x.names == names:
        return x
    logits, representation = [x[m].logits for m in names], [x[m].representation for m in names]
    return Nodes(names, torch.stack(logits, dim=1), torch.stack(representation, dim=1))


@dataclass(frozen=True, slots=True, repr=False)
class Disentangled(Outputs):
    """Each modality's projected sequence (`encoded[m].sequence`) taken apart and put together again."""

    present: Bool[Tensor, "batch modalities"]
    """Which samples have a frame of each modality, in the order of the mappings."""
    private: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """What is the modality's own."""
    shared: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """What one encoder for all modalities finds."""
    reconstruction: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """The sequence, decoded from both."""
    private_again: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """The private part of the reconstruction."""
    similarity: Mapping[Modality, Float[Tensor, "batch dim"]]
    """One vector of the shared part, for the margin loss."""


def shares(outputs: Disentangled, members: Sequence[Modality]) -> Float[Tensor, "batch members time"]:
    """What each step counts in a modality's mean over the steps that are there."""
    real = torch.stack([outputs.encoded[m].observed for m in members], dim=1)
    return real / real.sum(dim=(0, 2), keepdim=True).clamp(min=1)


@dataclass(frozen=True, slots=True, repr=False)
class Decoupled(Disentangled):
    """With the predictions of each branch."""

    homogeneous: Mapping[Modality, Node]
    """From the shared part of one modality alone; the representation is `dim` wide."""
    heterogeneous: Mapping[Modality, Node]
    """From the private part, reinforced by the other modalities; (modalities - 1) * dim wide."""
    shared_logits: Float[Tensor, "batch width"]
    """From the shared parts of all modalities."""
    memory: Mapping[Modality, Float[Tensor, "batch _wide"]]
    """What each modality's private part became; (modalities - 1) * dim wide."""
