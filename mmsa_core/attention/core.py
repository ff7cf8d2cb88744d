"""Attention weights, their dropout and the weighted values, forward and backward.

Heads are channels first: the products with the tables of weights then have the long axis where a CPU wants it,
and take a third of the time. The tables of weights are by far the largest tensors of a step: on a CPU they are
computed in pieces that stay in a core's cache. What fits one piece is kept for the backward pass, all else is computed
again there.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mmsa_core.attention.form import few_operations
from mmsa_core.recording import recording

PIECE = 2**19
"""Attention weights of one piece on a CPU (two MiB)."""
KEPT = 2**28
"""Attention weights of a layer that are kept for the backward pass at most (one GiB)."""


def attend(
    query: Float[Tensor, "all h T"],
    key: Float[Tensor, "all h K"],
    value: Float[Tensor, "all h K"],
    mask: Tensor | None,
    keep: UInt8[Tensor, "all T K"] | None,
    heads: int,
) -> tuple[Float[Tensor, "all h T"], tuple[Tensor, ...]]:
    """The weighted values, and the weights before and after dropout where they are kept.

    `mask` is added to the scores: [T, K] for all alike, or [all / heads, 1, T, K].
    """
    if recording():  # any number of samples, and no gradient
        return torch.bmm(value, attention_weights(query, key, mask).mT), ()
    pieces = _pieces(query, key, heads)
    if len(pieces) == 1:
        share = attention_weights(query, key, mask)
        kept = _kept(share, keep)
        return torch.bmm(value, kept.mT), (share, kept) if share.numel() <= KEPT else ()
    seen = torch.empty_like(query)
    for at in pieces:
        share = attention_weights(query[at], key[at], _part(mask, at, heads))
        torch.bmm(value[at], _kept(share, None if keep is None else keep[at]).mT, out=seen[at])
    return seen, ()


def attend_backward(
    grad: Float[Tensor, "all h T"],
    query: Float[Tensor, "all h T"],
    key: Float[Tensor, "all h K"],
    value: Float[Tensor, "all h K"],
    mask: Tensor | None,
    keep: UInt8[Tensor, "all T K"] | None,
    heads: int,
    weights: Sequence[Tensor] = (),
) -> tuple[Float[Tensor, "all h T"], Float[Tensor, "all h K"], Float[Tensor, "all h K"]]:
    """The gradients of query, key and value, from that of the weighted values; `weights` as kept by `attend`."""
    pieces = _pieces(query, key, heads)
    if len(pieces) == 1:
        return _backward(grad, query, key, value, mask, keep, weights)
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
        scores = scores.view(mask.shape[0], -1, *scores.shape[1:]).add_(mask).view(scores.shape)
    return scores.softmax(dim=2)


def _backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    keep: Tensor | None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    share = weights[0] if weights else attention_weights(query, key, mask)
    kept = weights[1] if weights else _kept(share, keep)
    scores = torch.bmm(grad.mT, value)
    scores = scores if keep is None else scores.mul_(keep)
    scores = torch.ops.aten._softmax_backward_data(scores, share, 2, scores.dtype)
    scale = query.shape[1] ** -0.5
    # the first argument is not read where beta is 0: a product and its factor in one operation
    to_query = torch.baddbmm(query, key, scores.mT, beta=0, alpha=scale)
    to_key = torch.baddbmm(key, query, scores, beta=0, alpha=scale)
    return to_query, to_key, torch.bmm(grad, kept)


def _kept(share: Tensor, keep: Tensor | None) -> Tensor:
    """The weights after dropout."""
    return share if keep is None else share * keep


def _part(mask: Tensor | None, at: slice, heads: int) -> Tensor | None:
    """What is added to the scores of one piece."""
    return mask[at.start // heads : at.stop // heads] if mask is not None and mask.dim() == 4 else mask


def _pieces(query: Tensor, key: Tensor, heads: int) -> list[slice]:
    """Slices of the first axis; a sample's heads stay together."""
    size = len(query)
    if not few_operations(query.device):
        size = heads * max(1, PIECE // (heads * query.shape[2] * key.shape[2]))
    return [slice(start, min(start + size, len(query))) for start in range(0, len(query), size)]
