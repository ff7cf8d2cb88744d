"""One layer of stacked Transformers and its gradient, written out.

Autograd would record many more operations, most of them views and copies, and on small widths the number of
operations is what a step costs (`bench/dmd.py` counts them). Symbols as in `stack`;
rows = samples and their frames on one axis; heads = stack * batch * heads.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmsa_core.attention.core import attend, attend_backward

EPS = 1e-5
"""Of a layer norm, torch's default."""


class Products(NamedTuple):
    """Weights [rows, in, out] and biases [rows, 1, out] of one layer or of several; the layer norms are in them.

    `attend` is query, key and value side by side [stack, d, 3 d]; with `Sources` one after the other [3 stack, d, d];
    with `Heads` the query alone [stack, d, d].
    """

    attend: Tensor
    attend_bias: Tensor
    out: Tensor
    out_bias: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor


class Sources(NamedTuple):
    """The normed sources that the first Transformers read; the others read themselves."""

    keys: Float[Tensor, "sources keys d"]
    values: Float[Tensor, "sources keys d"]


class Heads(NamedTuple):
    """Keys and values that are made already, in one layer or in several on the first axis."""

    keys: Float[Tensor, "*layers heads h K"]
    values: Float[Tensor, "*layers heads h K"]


@dataclass(frozen=True)
class Layout:
    """What a layer knows besides its tensors."""

    batch: int
    heads: int
    scores: Float[Tensor, "..."] | None = None
    """What is added to the scores: [T, K] for all alike, or [stack * batch, 1, T, K]."""
    keep: UInt8[Tensor, "heads T K"] | None = None
    """The attention weights that dropout keeps; `out` is scaled for it."""
    alive: Float[Tensor, "stack rows 1"] | None = None
    """0 for a query all of whose keys are hidden: it attends to nothing."""
    attended: Tensor | None = None
    """Dropout factors of the attention's result, of the inner layer, and of the feed-forward part's result."""
    inner: Tensor | None = None
    outer: Tensor | None = None
    at: Int64[Tensor, " sequences"] | None = None
    """The frame of each sequence whose result is wanted; None: all. The other tensors here fit it."""

    def only(self, at: Int64[Tensor, " sequences"]) -> "Layout":
        """The layout of a layer of which only one frame of each sequence is wanted."""
        sequences = at.shape[0]  # len() would fix the number in an exported graph
        row = torch.arange(sequences, device=at.device)
        scores, alive = self.scores, self.alive
        if scores is not None:
            picked = scores[at] if scores.dim() == 2 else scores[row, 0, at]
            scores = picked.view(sequences, 1, 1, scores.shape[-1])
        if alive is not None:
            alive = alive.view(sequences, -1)[row, at].view(len(alive), -1, 1)
        # the masks of dropout are random anyway: the first frame's will do
        return replace(self, at=at, scores=scores, alive=alive, keep=None if self.keep is None else self.keep[:, :1])


class Kept(NamedTuple):
    """What the gradient of a layer needs; `read` is what queries, keys and values are products of.

    `weights` are the attention weights before and after dropout, or nothing: then they are computed again.
    """

    state: Tensor
    mean1: Tensor
    rstd1: Tensor
    read: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    seen: Tensor
    y: Tensor
    n2: Tensor
    mean2: Tensor
    rstd2: Tensor
    hidden: Tensor
    weights: tuple[Tensor, ...]


class Transposed(NamedTuple):
    """The weights of one layer [rows, out, in], for the gradients of what they were multiplied with."""

    attend: Tensor
    out: Tensor
    inner: Tensor
    outer: Tensor


class Pair(NamedTuple):
    """Input and gradient of a product, whose own gradient follows from them."""

    x: Float[Tensor, "rows samples in"]
    grad: Float[Tensor, "rows samples out"]


def forward(
    layout: Layout, state: Float[Tensor, "stack rows d"], sources: Sources | Heads | None, w: Products
) -> tuple[Float[Tensor, "stack rows d"], Kept]:
    r"""Attention and feed-forward part, each added to its input.

    .. math:: y = x + \mathrm{MHA}(LN(x), k, v), \qquad x' = y + W_2\,\mathrm{relu}(W_1 LN(y))
    """
    n1, mean1, rstd1 = _norm(state)
    read, (q, k, v) = _project(layout, n1, sources, w)
    before, at = state, layout.at
    if at is not None:
        sequences = at.shape[0]
        row = torch.arange(sequences, device=at.device)
        before = state.view(sequences, -1, state.shape[2])[row, at].view(len(state), -1, state.shape[2])
        q = q.view(sequences, layout.heads, *q.shape[1:])[row, :, :, at].view(q.shape[0], -1, 1)
    seen, weights = attend(q, k, v, layout.scores, layout.keep, layout.heads)
    seen = _times(merge(seen, before), layout.alive)
    y = _added(before, torch.baddbmm(w.out_bias, seen, w.out), layout.attended)
    n2, mean2, rstd2 = _norm(y)
    hidden = _times(torch.baddbmm(w.inner_bias, n2, w.inner).relu_(), layout.inner)
    found = _added(y, torch.baddbmm(w.outer_bias, hidden, w.outer), layout.outer)
    return found, Kept(state, mean1, rstd1, read, q, k, v, seen, y, n2, mean2, rstd2, hidden, weights)


def backward(
    layout: Layout, grad: Float[Tensor, "stack rows d"], kept: Kept, sources: Sources | Heads | None, w: Transposed
) -> tuple[Tensor, tuple[Tensor, Tensor] | None, list[Pair]]:
    """The gradients of state and sources, and a pair for each product: attend, out, inner, outer."""
    g = _times(grad, layout.outer)
    outer = Pair(kept.hidden, g)
    # hidden is zero where the ReLU was and where dropout was: in neither case does a gradient pass
    g = torch.ops.aten.threshold_backward(_times(torch.bmm(g, w.outer), layout.inner), kept.hidden, 0)
    inner = Pair(kept.n2, g)
    to_state = grad + _norm_backward(torch.bmm(g, w.inner), kept.y, kept.mean2, kept.rstd2)
    g = _times(to_state, layout.attended)
    out = Pair(kept.seen, g)
    g = split(_times(torch.bmm(g, w.out), layout.alive), layout)
    to_heads = attend_backward(g, kept.q, kept.k, kept.v, layout.scores, layout.keep, layout.heads, kept.weights)
    if layout.at is not None:
        to_q, to_state = _put_back(layout, to_heads[0], to_state, kept.state)
        to_heads = to_q, *to_heads[1:]
    to_n1, to_sources, attend = _project_backward(to_heads, kept, sources, w)
    to_state = to_state + _norm_backward(to_n1, kept.state, kept.mean1, kept.rstd1)
    return to_state, to_sources, [attend, out, inner, outer]


def _project(
    layout: Layout, n1: Tensor, sources: Sources | Heads | None, w: Products
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """What is read, and queries, keys and values in heads."""
    if sources is None:
        q, k, v = split_parts(torch.baddbmm(w.attend_bias, n1, w.attend), layout)
        return n1, (q, k, v)
    if isinstance(sources, Heads):
        return n1, (split(torch.baddbmm(w.attend_bias, n1, w.attend), layout), *sources)
    alone = n1[len(sources.keys) :]
    read = torch.cat([n1, sources.keys, alone, sources.values, alone])
    q, k, v = torch.chunk(split(torch.baddbmm(w.attend_bias, read, w.attend), layout), 3)
    return read, (q, k, v)


def _project_backward(
    to_heads: tuple[Tensor, Tensor, Tensor], kept: Kept, sources: Sources | Heads | None, w: Transposed
) -> tuple[Tensor, tuple[Tensor, Tensor] | None, Pair]:
    """The gradients of LN(x) and of the sources, and the pair of the product."""
    read = kept.read
    if sources is None:
        g = merge(torch.stack(to_heads), read)
        return torch.bmm(g, w.attend), None, Pair(read, g)
    if isinstance(sources, Heads):
        g = merge(to_heads[0], read)
        return torch.bmm(g, w.attend), to_heads[1:], Pair(read, g)
    g = merge(torch.cat(to_heads), read)
    count, alone = len(sources.keys), len(kept.state) - len(sources.keys)
    to_n1, to_keys, *own = torch.split(torch.bmm(g, w.attend), [count + alone, *2 * [count, alone]])
    if alone:
        to_n1[count:].add_(own[0]).add_(own[2])
    return to_n1, (to_keys, own[1]), Pair(read, g)


def split(x: Float[Tensor, "stack rows d"], layout: Layout) -> Float[Tensor, "heads h T"]:
    """The last axis cut into heads, channels first."""
    sequences, wide = x.shape[0] * layout.batch, x.shape[2] // layout.heads
    cut = x.view(sequences, -1, layout.heads * wide)
    return torch.transpose_copy(cut, 1, 2).view(sequences * layout.heads, wide, -1)


def split_parts(x: Float[Tensor, "stack rows three"], layout: Layout) -> tuple[Tensor, ...]:
    """Query, key and value side by side, each cut into heads [heads, h, T]."""
    sequences, wide = x.shape[0] * layout.batch, x.shape[2] // (3 * layout.heads)
    cut = x.view(sequences, -1, 3, layout.heads * wide)
    return torch.unbind(torch.permute_copy(cut, (2, 0, 3, 1)).view(3, sequences * layout.heads, wide, -1))


def merge(x: Float[Tensor, "*parts heads h T"], like: Float[Tensor, "stack rows d"]) -> Float[Tensor, "stack rows all"]:
    """The heads of each frame side by side, part after part: what `split` and `split_parts` undo."""
    stack, _, dim = like.shape
    parts = x.shape[0] if x.dim() == 4 else 1
    cut = torch.permute_copy(x.view(parts, -1, dim, x.shape[-1]), (1, 3, 0, 2))
    return cut.view(stack, -1, parts * dim)


def _added(x: Tensor, more: Tensor, factor: Tensor | None) -> Tensor:
    return more.add_(x) if factor is None else torch.addcmul(x, more, factor)


def _times(x: Tensor, factor: Tensor | None) -> Tensor:
    return x if factor is None else x * factor


def _norm(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A bare layer norm, with what its gradient needs."""
    found: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(x, (x.shape[2],), None, None, EPS)
    return found


def _norm_backward(grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    """The gradient of what a bare layer norm was given."""
    found: Tensor = torch.ops.aten.native_layer_norm_backward(
        grad, x, (x.shape[2],), mean, rstd, None, None, [True, False, False]
    )[0]
    return found


def _put_back(layout: Layout, to_q: Tensor, to_state: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the frames that were computed, among zeros for the others."""
    assert layout.at is not None
    sequences = len(layout.at)
    row, dim = torch.arange(sequences, device=state.device), state.shape[2]
    whole = torch.zeros_like(state).view(sequences, -1, dim)
    whole[row, layout.at] = to_state.view(sequences, dim)
    queries = to_q.new_zeros(sequences, layout.heads, to_q.shape[1], whole.shape[1])
    queries[row, :, :, layout.at] = to_q.view(sequences, layout.heads, -1)
    return queries.view(len(to_q), -1, whole.shape[1]), whole.view(state.shape)
