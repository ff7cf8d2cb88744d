"""Attention weights, their dropout and the weighted values, forward and backward.

Heads are channels first: the products with the tables of weights then have the long axis where a CPU wants it,
and take a third of the time. The tables, by far the largest tensors of a step, are not kept for the backward pass but
computed again, and on a CPU they are computed in pieces that stay in a core's cache.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

PIECE: int | None = 2**19
"""Attention weights of one piece on a CPU (two MiB); None: all at once, as on other devices."""


def attend(
    query: Float[Tensor, "all h T"],
    key: Float[Tensor, "all h K"],
    value: Float[Tensor, "all h K"],
    mask: Tensor | None,
    keep: UInt8[Tensor, "all T K"] | None,
    heads: int,
) -> Float[Tensor, "all h T"]:
    """The weighted values.

    `mask` is added to the scores: [T, K] for all alike, or [all / heads, 1, T, K].
    """
    pieces = _pieces(query, key, heads)
    if len(pieces) == 1:
        return torch.bmm(value, _kept(attention_weights(query, key, mask), keep).mT)
    seen = torch.empty_like(query)
    for at in pieces:
        share = attention_weights(query[at], key[at], _part(mask, at, heads))
        torch.bmm(value[at], _kept(share, None if keep is None else keep[at]).mT, out=seen[at])
    return seen


def attend_backward(
    grad: Float[Tensor, "all h T"],
    query: Float[Tensor, "all h T"],
    key: Float[Tensor, "all h K"],
    value: Float[Tensor, "all h K"],
    mask: Tensor | None,
    keep: UInt8[Tensor, "all T K"] | None,
    heads: int,
) -> tuple[Float[Tensor, "all h T"], Float[Tensor, "all h K"], Float[Tensor, "all h K"]]:
    """The gradients of query, key and value, from that of the weighted values."""
    pieces = _pieces(query, key, heads)
    if len(pieces) == 1:
        return _backward(grad, query, key, value, mask, keep)
    to_query, to_key, to_value = (torch.empty_like(x) for x in (query, key, value))
    for at in pieces:
        own = _part(mask, at, heads), None if keep is None else keep[at]
        to_query[at], to_key[at], to_value[at] = _backward(grad[at], query[at], key[at], value[at], *own)
    return to_query, to_key, to_value


def attention_weights(
    query: Float[Tensor, "all h T"], key: Float[Tensor, "all h K"], mask: Tensor | None
) -> Float[Tensor, "all T K"]:
    """Softmax of the scaled products of queries and keys."""
    scale = query.shape[1] ** -0.5
    if mask is not None and mask.dim() == 2:
        return torch.baddbmm(mask, query.mT, key, alpha=scale).softmax(dim=2)
    scores = torch.bmm(query.mT, key).mul_(scale)
    if mask is not None:
        scores = scores.view(len(mask), -1, *scores.shape[1:]).add_(mask).view(scores.shape)
    return scores.softmax(dim=2)


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, keep: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    share = attention_weights(query, key, mask)
    scores = torch.bmm(grad.mT, value)
    scores = scores if keep is None else scores.mul_(keep)
    scores = torch.ops.aten._softmax_backward_data(scores, share, 2, scores.dtype)
    scale = query.shape[1] ** -0.5
    # the first argument is not read where beta is 0: a product and its factor in one operation
    to_query = torch.baddbmm(query, key, scores.mT, beta=0, alpha=scale)
    to_key = torch.baddbmm(key, query, scores, beta=0, alpha=scale)
    return to_query, to_key, torch.bmm(grad, _kept(share, keep))


def _kept(share: Tensor, keep: Tensor | None) -> Tensor:
    """The weights after dropout."""
    return share if keep is None else share * keep


def _part(mask: Tensor | None, at: slice, heads: int) -> Tensor | None:
    """What is added to the scores of one piece."""
    return mask[at.start // heads : at.stop // heads] if mask is not None and mask.dim() == 4 else mask


def _pieces(query: Tensor, key: Tensor, heads: int) -> list[slice]:
    """Slices of the first axis; a sample's heads stay together."""
    size = len(query)
    if PIECE is not None and query.device.type == "cpu":
        size = heads * max(1, PIECE // (heads * query.shape[2] * key.shape[2]))
    return [slice(start, min(start + size, len(query))) for start in range(0, len(query), size)]
