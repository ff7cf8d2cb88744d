"""Tensors by modality of which those of one shape are slices of one tensor, so that a loss reads them as one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mmsa_core.types import Modality

Members = tuple[Modality, ...]


@dataclass(frozen=True)
class Stacked(Mapping[Modality, Tensor]):
    """A mapping from modality to tensor, in the order of `names`, kept as stacks [batch, members, ...]."""

    names: Members
    parts: Mapping[Members, Tensor]

    def __getitem__(self, name: Modality) -> Tensor:
        for members, x in self.parts.items():
            if name in members:
                return x[:, members.index(name)]
        raise KeyError(name)

    def __iter__(self) -> Iterator[Modality]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def together(x: Mapping[Modality, Tensor]) -> Float[Tensor, "batch modalities ..."]:
    """All tensors on a new second axis; they have one shape."""
    whole = x.parts.get(x.names) if isinstance(x, Stacked) else None
    return torch.stack(list(x.values()), dim=1) if whole is None else whole


def matched(*mappings: Mapping[Modality, Tensor]) -> Iterator[tuple[Members, list[Tensor]]]:
    """The stacks of several mappings side by side; each modality by itself where they are not stacked alike."""
    first = mappings[0]
    kinds = [tuple(x.parts) if isinstance(x, Stacked) else None for x in mappings]
    if isinstance(first, Stacked) and all(kind == kinds[0] for kind in kinds):
        for members in first.parts:
            yield members, [x.parts[members] for x in mappings if isinstance(x, Stacked)]
    else:
        for name in first:
            yield (name,), [x[name].unsqueeze(1) for x in mappings]


def added(terms: Sequence[Tensor]) -> Tensor:
    """The sum of a term over the groups."""
    return terms[0] if len(terms) == 1 else torch.stack(list(terms)).sum()


def joined(names: Members, parts: Mapping[Members, Tensor]) -> Float[Tensor, "batch modalities ..."]:
    """Stacks [members, batch, ...] of equal shapes as one, in the order of `names`."""
    if len(parts) == 1:
        return next(iter(parts.values())).transpose(0, 1)
    order = [name for members in parts for name in members]
    return torch.cat(list(parts.values()))[[order.index(name) for name in names]].transpose(0, 1)
