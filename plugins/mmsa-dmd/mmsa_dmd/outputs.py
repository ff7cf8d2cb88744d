"""What DMD's fusion gives beside a prediction: features taken apart, and a prediction of every branch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core import missing
from mmsa_core.components import Context
from mmsa_core.types import Batch, Modality, Outputs


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

    @classmethod
    def example(cls, batch: Batch, context: Context, seed: int) -> "Disentangled":
        """Every part is a random linear map of the encoded modality."""
        base, times = Outputs.example(batch, context, seed), maps(seed, "disentangled")
        sequences = [{m: times(e.sequence, context.dim) for m, e in base.encoded.items()} for _ in range(4)]
        return Disentangled(
            encoded=base.encoded,
            joint=base.joint,
            logits=base.logits,
            present=torch.stack([e.present for e in base.encoded.values()], dim=1),
            private=sequences[0],
            shared=sequences[1],
            reconstruction=sequences[2],
            private_again=sequences[3],
            similarity={m: times(e.pooled, context.dim) for m, e in base.encoded.items()},
        )


def maps(seed: int, purpose: str) -> Callable[[Tensor, int], Tensor]:
    """A function that maps a tensor's last axis to a width, by other random weights each time."""
    source = torch.Generator().manual_seed(missing.derive(seed, purpose))
    return lambda x, width: x @ torch.randn(x.shape[-1], width, generator=source)


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

    @classmethod
    def example(cls, batch: Batch, context: Context, seed: int) -> "Decoupled":
        """With branches that are random linear maps too."""
        base, times = Disentangled.example(batch, context, seed), maps(seed, "decoupled")
        parts = {field.name: getattr(base, field.name) for field in fields(base)}

        def nodes(wide: int) -> dict[Modality, Node]:
            found = {m: times(e.pooled, wide) for m, e in base.encoded.items()}
            return {m: Node(times(r, context.task.width), r) for m, r in found.items()}

        reinforced = nodes((len(base.encoded) - 1) * context.dim)
        return Decoupled(
            **parts,
            homogeneous=nodes(context.dim),
            heterogeneous=reinforced,
            shared_logits=times(base.joint, context.task.width),
            memory={m: node.representation for m, node in reinforced.items()},
        )
