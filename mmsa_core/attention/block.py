"""One layer of stacked Transformers, with its gradient written out.

Autograd would record many more operations, most of them views and copies, and on small widths the number of
operations is what a step costs (`bench/dmd.py` counts them). Symbols as in `stack`;
rows = samples and their frames on one axis; heads = stack * batch * heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmsa_core.attention.core import attend, attend_backward

EPS = 1e-5
"""Of a layer norm, torch's default."""


class Products(NamedTuple):
    """One layer's weights [stack, in, out] and biases [stack, 1, out]; the layer norms are in them."""

    attend: Tensor
    """Query, key and value side by side."""
    attend_bias: Tensor
    out: Tensor
    out_bias: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor


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
        row = torch.arange(len(at), device=at.device)
        scores, alive = self.scores, self.alive
        if scores is not None:
            picked = scores[at] if scores.dim() == 2 else scores[row, 0, at]
            scores = picked.view(len(at), 1, 1, scores.shape[-1])
        if alive is not None:
            alive = alive.view(len(at), -1)[row, at].view(len(alive), -1, 1)
        # the masks of dropout are random anyway: the first frame's will do
        return replace(self, at=at, scores=scores, alive=alive, keep=None if self.keep is None else self.keep[:, :1])


def layer(
    layout: Layout,
    state: Float[Tensor, "stack rows d"],
    keys: Float[Tensor, "sources keys d"] | None,
    values: Float[Tensor, "sources keys d"] | None,
    w: Products,
) -> Float[Tensor, "stack rows d"]:
    r"""Attention and feed-forward part, each added to its input.

    .. math:: y = x + \mathrm{MHA}(LN(x), k, v), \qquad x' = y + W_2\,\mathrm{relu}(W_1 LN(y))

    The first Transformers read `keys` and `values` (normed sources), the others LN(x) itself.
    """
    if torch.is_grad_enabled():
        found: Tensor = Block.apply(layout, state, keys, values, *w)  # type: ignore[no-untyped-call]
        return found
    return _compute(layout, state, keys, values, w)[0]


def _compute(
    layout: Layout, state: Tensor, keys: Tensor | None, values: Tensor | None, w: Products
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The layer's result, what its gradient needs, and what queries, keys and values were made of."""
    dim = state.shape[2]
    n1, *norm1 = torch.native_layer_norm(state, (dim,), None, None, EPS)
    read: tuple[Tensor, ...] = (n1,)
    if keys is not None and values is not None:
        sources = (keys, values)
        if len(keys) < len(n1):
            alone = n1[len(keys) :]
            sources = torch.cat([keys, alone]), torch.cat([values, alone])
        read = (n1, *sources)
    q, k, v = _cut(layout, read, w)
    before, at = state, layout.at
    if at is not None:
        row = torch.arange(len(at), device=at.device)
        before = state.view(len(at), -1, dim)[row, at].view(len(state), -1, dim)
        q = q.view(len(at), layout.heads, *q.shape[1:])[row, :, :, at].view(len(q), -1, 1)
    seen = attend(q, k, v, layout.scores, layout.keep, layout.heads)
    seen = _times(merge(seen, before), layout.alive)
    y = _added(before, torch.baddbmm(w.out_bias, seen, w.out), layout.attended)
    n2, *norm2 = torch.native_layer_norm(y, (dim,), None, None, EPS)
    hidden = _times(torch.baddbmm(w.inner_bias, n2, w.inner).relu_(), layout.inner)
    found = _added(y, torch.baddbmm(w.outer_bias, hidden, w.outer), layout.outer)
    return found, (state, *norm1, q, k, v, seen, y, n2, *norm2, hidden), read


class Block(torch.autograd.Function):
    """`layer`, with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, layout: Layout, state: Tensor, keys: Tensor | None, values: Tensor | None, *weights: Tensor
    ) -> Tensor:
        found, needed, read = _compute(layout, state, keys, values, Products(*weights))
        ctx.save_for_backward(*needed, *weights, *read)
        ctx.layout, ctx.sources = layout, 0 if keys is None else len(keys)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "stack rows d"]) -> tuple[Tensor | None, ...]:
        state, mean1, rstd1, q, k, v, seen, y, n2, mean2, rstd2, hidden, *rest = ctx.saved_tensors
        layout, w, read = ctx.layout, Products(*rest[: len(Products._fields)]), rest[len(Products._fields) :]
        g = _times(grad, layout.outer)
        to_outer = _product(hidden, g)
        # hidden is zero where the ReLU was and where dropout was: in neither case does a gradient pass
        g = torch.ops.aten.threshold_backward(_times(torch.bmm(g, w.outer.mT), layout.inner), hidden, 0)
        to_inner = _product(n2, g)
        to_state = grad + _norm_backward(torch.bmm(g, w.inner.mT), y, mean2, rstd2)
        g = _times(to_state, layout.attended)
        to_out = _product(seen, g)
        (g,) = split(_times(torch.bmm(g, w.out.mT), layout.alive), layout, 1)
        to_q, to_k, to_v = attend_backward(g, q, k, v, layout.scores, layout.keep, layout.heads)
        if layout.at is not None:
            to_q, to_state = _put_back(layout, to_q, to_state, state)
        (g, *to_read), to_attend = _cut_backward(read, (to_q, to_k, to_v), w)
        to_sources: list[Tensor | None] = [None, None]
        if ctx.sources:
            to_sources = [x[: ctx.sources] for x in to_read]
            if ctx.sources < len(g):
                g[ctx.sources :].add_(to_read[0][ctx.sources :]).add_(to_read[1][ctx.sources :])
        to_state = to_state + _norm_backward(g, state, mean1, rstd1)
        return None, to_state, *to_sources, *to_attend, *to_out, *to_inner, *to_outer


def _cut(layout: Layout, read: Sequence[Tensor], w: Products) -> tuple[Tensor, ...]:
    """Queries, keys and values, cut into heads: of one input, or of one each."""
    if len(read) == 1:
        return split(torch.baddbmm(w.attend_bias, read[0], w.attend), layout, 3)
    products = zip(read, torch.chunk(w.attend, 3, dim=2), torch.chunk(w.attend_bias, 3, dim=2), strict=True)
    return tuple(split(torch.baddbmm(bias, x, weight), layout, 1)[0] for x, weight, bias in products)


def _cut_backward(
    read: Sequence[Tensor], to_heads: Sequence[Tensor], w: Products
) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """The gradients of the inputs of `_cut`, and of its weight and bias."""
    if len(read) == 1:
        g = merge(torch.stack(list(to_heads)), read[0])
        return [torch.bmm(g, w.attend.mT)], _product(read[0], g)
    merged = [merge(g, x) for g, x in zip(to_heads, read, strict=True)]
    weights = torch.chunk(w.attend, 3, dim=2)
    products = [_product(x, g) for x, g in zip(read, merged, strict=True)]
    to_weight, to_bias = (torch.cat(parts, dim=2) for parts in zip(*products, strict=True))
    return [torch.bmm(g, weight.mT) for g, weight in zip(merged, weights, strict=True)], (to_weight, to_bias)


def split(x: Float[Tensor, "stack rows all"], layout: Layout, parts: int) -> tuple[Tensor, ...]:
    """The last axis cut into `parts`, and each into heads, channels first [heads, h, T]."""
    sequences, wide = len(x) * layout.batch, x.shape[2] // (parts * layout.heads)
    cut = x.view(sequences, -1, parts, layout.heads, wide).permute(2, 0, 3, 4, 1)
    return torch.unbind(cut.flatten(1, 2))


def merge(x: Float[Tensor, "*parts heads h T"], like: Float[Tensor, "stack rows d"]) -> Float[Tensor, "stack rows all"]:
    """The heads of each frame side by side, part after part: what `split` undoes."""
    parts = len(x) if x.dim() == 4 else 1
    cut = x.view(parts, -1, like.shape[2], x.shape[-1])
    return cut.permute(1, 3, 0, 2).reshape(len(like), -1, parts * like.shape[2])


def _added(x: Tensor, more: Tensor, factor: Tensor | None) -> Tensor:
    return more.add_(x) if factor is None else torch.addcmul(x, more, factor)


def _times(x: Tensor, factor: Tensor | None) -> Tensor:
    return x if factor is None else x * factor


def _product(x: Float[Tensor, "stack rows wide"], grad: Float[Tensor, "stack rows out"]) -> tuple[Tensor, Tensor]:
    """The gradients of a product's weight and bias."""
    return torch.bmm(x.mT, grad), grad.sum(dim=1, keepdim=True)


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
