"""Where each tensor of the published code's state dicts is in ours: the name map, both ways.

The published modalities l, a, v are text, audio, vision, in this order in a recipe. Three things differ beside
the names. Our Transformers are stacked, with weights [in, out]. The published
code orders concatenations over modalities l, v, a. And it flattens the input of `align_c` channel by channel.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations

import torch
from torch import Tensor

from mmsa_dmd.heads import same_shape

MODALITIES = {"l": "text", "a": "audio", "v": "vision"}
"""In our order, in which also a memory reads its sources (as published)."""
CONCATENATED = ("l", "v", "a")
"""The published order of concatenations over modalities."""
PRODUCTS = {"self_attn.in_proj_": "attend", "self_attn.out_proj.": "out", "fc1.": "inner", "fc2.": "outer"}


@dataclass(frozen=True)
class Place:
    """A published tensor, and where it is in ours: `ours[index]`, after the changes named here."""

    published: str
    ours: str
    index: tuple[int | slice, ...] = ()
    transposed: bool = False
    squeezed: bool = False
    """The published tensor is a convolution of kernel 1."""
    row_order: Tensor | None = None
    """Ours are the published rows in this order."""
    column_order: Tensor | None = None

    def to_ours(self, x: Tensor) -> Tensor:
        """What stands at `index` of our tensor, from the published one."""
        x = x.squeeze(2) if self.squeezed else x
        x = x if self.row_order is None else x[self.row_order]
        x = x if self.column_order is None else x[:, self.column_order]
        return x.T if self.transposed else x

    def to_published(self, x: Tensor) -> Tensor:
        """The published tensor, from our whole one."""
        x = x[self.index]
        x = x.T if self.transposed else x
        x = x if self.column_order is None else x[:, self.column_order.argsort()]
        x = x if self.row_order is None else x[self.row_order.argsort()]
        return x.unsqueeze(2) if self.squeezed else x


def transformer(published: str, ours: str, member: int, size: "Size") -> Iterator[Place]:
    """A published Transformer as member of one of our stacks."""
    weights = f"{ours}.weights"
    for n in range(size.layers):
        row = n * size.stack + member
        for theirs, name in PRODUCTS.items():
            of = f"{published}.layers.{n}.{theirs}"
            yield Place(f"{of}weight", f"{weights}.{name}", index=(row,), transposed=True)
            yield Place(f"{of}bias", f"{weights}.{name}_bias", index=(row, 0))
        for norm, name in enumerate(("attend", "inner")):
            of = f"{published}.layers.{n}.layer_norms.{norm}"
            yield Place(f"{of}.weight", f"{weights}.{name}_scale", index=(row, slice(None), 0))
            yield Place(f"{of}.bias", f"{weights}.{name}_shift", index=(row, 0))
    yield Place(f"{published}.layer_norm.weight", f"{ours}.scale", index=(member, 0))
    yield Place(f"{published}.layer_norm.bias", f"{ours}.shift", index=(member, 0))


@dataclass(frozen=True)
class Size:
    """Of one of our stacks: how many Transformers, and the layers of each."""

    stack: int
    layers: int


def crossmodal(ours: str, layers: int, alone: bool) -> Iterator[Place]:
    """The crossmodal and the memory Transformers of DMD and of MulT; in DMD also those of the shared parts."""
    pairs = list(permutations(MODALITIES, 2))
    readers = Size(len(pairs) + (len(MODALITIES) if alone else 0), layers)
    for i, (student, source) in enumerate(pairs):
        yield from transformer(f"trans_{student}_with_{source}", f"{ours}.readers", i, readers)
    memory = Size(len(MODALITIES), max(layers, 3))
    for i, m in enumerate(MODALITIES):
        if alone:
            yield from transformer(f"self_attentions_c_{m}", f"{ours}.readers", len(pairs) + i, readers)
        yield from transformer(f"trans_{m}_mem", f"{ours}.memory", i, memory)


def network(layers: int, dim: int, lengths: Mapping[str, int], text: str = "encoders.text") -> Iterator[Place]:
    """The published class DMD in our student, whose text projection is at `text`; `lengths` of l, a, v after it."""
    shared = _blocks(dict.fromkeys(CONCATENATED, dim))
    joint = _blocks(dict.fromkeys(CONCATENATED, 2 * dim) | {"c": 3 * dim}, shared)
    groups = same_shape({m: lengths[m] for m in MODALITIES})
    for n, (m, name) in enumerate(MODALITIES.items()):
        encoder = text if m == "l" else f"encoders.{name}"
        yield Place(f"proj_{m}.weight", f"{encoder}.convolution.weight")
        for theirs, ours in (("encoder_s", "private"), ("decoder", "decoder")):
            weight = f"fusion.decoupling.{ours}.weight"
            yield Place(f"{theirs}_{m}.weight", weight, index=(n,), transposed=True, squeezed=True)
        group = next(g for g, members in enumerate(groups) if m in members)
        member = groups[group].index(m)
        by_time = torch.arange(dim * lengths[m]).view(dim, lengths[m]).T.flatten()
        yield from _linear(f"align_c_{m}", f"fusion.similarity.{group}", member, columns=by_time)
        yield from _linear(f"proj_cosine_{m}", f"fusion.private_similarities.{group}", member)
        yield from _linear(f"weight_{m}", "fusion.gates", n)
        yield from _head(f"_{m}_low", f"fusion.homogeneous.{group}", member)
        yield from _head(f"_{m}_high", "fusion.heterogeneous", n)
    yield Place("encoder_c.weight", "fusion.decoupling.shared.weight", squeezed=True)
    yield from _linear("weight_c", "fusion.shared_gate", 0, shared, shared)
    yield from _head("_c", "fusion.shared_head", 0, shared)
    yield from _head("", "fusion.head", 0, joint)
    yield from crossmodal("fusion.crossmodal", layers, alone=True)


def graph(label: str) -> Iterator[Place]:
    """The published class DistillationKernel in our term `label`."""
    for theirs, ours in {"W_logit": "on_logits", "W_repr": "on_representation", "W_edge": "on_edge"}.items():
        yield Place(f"{theirs}.weight", f"{label}.{ours}.weight")
        yield Place(f"{theirs}.bias", f"{label}.{ours}.bias")


def to_ours(places: Iterable[Place], published: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors in our form; `ours` gives the shapes of tensors that hold several of theirs."""
    found: dict[str, Tensor] = {}
    for place in places:
        x = place.to_ours(published[place.published])
        if place.index:
            found.setdefault(place.ours, torch.zeros_like(ours[place.ours]))[place.index] = x
        else:
            found[place.ours] = x.contiguous()
    return found


def to_published(places: Iterable[Place], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors (weights, or their gradients) under the published names."""
    return {place.published: place.to_published(ours[place.ours]) for place in places}


def _linear(
    theirs: str, ours: str, member: int, rows: Tensor | None = None, columns: Tensor | None = None
) -> Iterator[Place]:
    """A linear layer as member of `heads.Linears`."""
    at = Place(f"{theirs}.weight", f"{ours}.weight", index=(member,), transposed=True)
    yield replace(at, row_order=rows, column_order=columns)
    yield Place(f"{theirs}.bias", f"{ours}.bias", index=(member, 0), row_order=rows)


def _head(suffix: str, ours: str, member: int, order: Tensor | None = None) -> Iterator[Place]:
    """A residual head; its input may be a concatenation, whose blocks ours has in another `order`."""
    yield from _linear(f"proj1{suffix}", f"{ours}.inner", member, order, order)
    yield from _linear(f"proj2{suffix}", f"{ours}.outer", member, order, order)
    yield from _linear(f"out_layer{suffix}", f"{ours}.predict", member, columns=order)


def _blocks(widths: Mapping[str, int], last: Tensor | None = None) -> Tensor:
    """The published place of each channel of our concatenation; `last` orders the channels of block `c`."""
    starts, start = {}, 0
    for name, width in widths.items():
        starts[name], start = start, start + width
    parts = [torch.arange(widths[m]) + starts[m] for m in MODALITIES]
    return torch.cat([*parts, last + starts["c"]] if last is not None else parts)
