"""Attention weights, their dropout and the weighted values, forward and backward.

On a CPU they are computed in pieces that stay in a core's cache: the tables of weights are by far the largest
tensors of a step, and they would go to memory and back at every operation. Elsewhere in one piece.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

PIECE: int | None = 2**17
"""Attention weights of one piece on a CPU (half a MiB); None: all at once, as on other devices."""


def attend(
    query: Float[Tensor, "all T h"],
    key: Float[Tensor, "all K h"],
    value: Float[Tensor, "all K h"],
    mask: Tensor | None,
    keep: UInt8[Tensor, "all T K"] | None,
    heads: int,
) -> tuple[Float[Tensor, "all T h"], list[Tensor], list[Tensor]]:
    """The weighted values, and of each piece the weights before and after dropout.

    `mask` is added to the scores: [T, K] for all alike, or [all / heads, 1, T, K].
    """
    pieces = _pieces(query, key, heads)
    if len(pieces) == 1:
        share = attention_weights(query, key, mask)
        kept = share if keep is None else share * keep
        return torch.bmm(kept, value), [share], [kept]
    seen, shares, kepts = torch.empty_like(query), [], []
    for at in pieces:
        own = mask[at.start // heads : at.stop // heads] if mask is not None and mask.dim() == 4 else mask
        shares.append(attention_weights(query[at], key[at], own))
        kepts.append(shares[-1] if keep is None else shares[-1] * keep[at])
        torch.bmm(kepts[-1], value[at], out=seen[at])
    return seen, shares, kepts


def attend_backward(
    grad: Float[Tensor, "all T h"],
    query: Float[Tensor, "all T h"],
    key: Float[Tensor, "all K h"],
    value: Float[Tensor, "all K h"],
    shares: Sequence[Tensor],
    kepts: Sequence[Tensor],
    keep: UInt8[Tensor, "all T K"] | None,
) -> tuple[Float[Tensor, "all T h"], Float[Tensor, "all K h"], Float[Tensor, "all K h"]]:
    """The gradients of query, key and value, from that of the weighted values."""
    if len(shares) == 1:
        return _backward(grad, query, key, value, shares[0], kepts[0], keep)
    to_all = [torch.empty_like(x) for x in (query, key, value)]
    start = 0
    for share, kept in zip(shares, kepts, strict=True):
        at = slice(start, start := start + len(share))
        found = _backward(grad[at], query[at], key[at], value[at], share, kept, None if keep is None else keep[at])
        for whole, part in zip(to_all, found, strict=True):
            whole[at] = part
    to_query, to_key, to_value = to_all
    return to_query, to_key, to_value


def attention_weights(
    query: Float[Tensor, "all T h"], key: Float[Tensor, "all K h"], mask: Tensor | None
) -> Float[Tensor, "all T K"]:
    """Softmax of the scaled products of queries and keys."""
    scale = query.shape[2] ** -0.5
    if mask is not None and mask.dim() == 2:
        return torch.baddbmm(mask, query, key.mT, alpha=scale).softmax(dim=2)
    scores = torch.bmm(query, key.mT).mul_(scale)
    if mask is not None:
        scores = scores.view(len(mask), -1, *scores.shape[1:]).add_(mask).view(scores.shape)
    return scores.softmax(dim=2)


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, share: Tensor, kept: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    scores = torch.bmm(grad, value.mT)
    scores = scores if keep is None else scores.mul_(keep)
    scores = torch.ops.aten._softmax_backward_data(scores, share, 2, scores.dtype)
    scale = query.shape[2] ** -0.5
    # the first argument is not read where beta is 0: a product and its factor in one operation
    to_query = torch.baddbmm(query, scores, key, beta=0, alpha=scale)
    to_key = torch.baddbmm(key, scores.mT, query, beta=0, alpha=scale)
    return to_query, to_key, torch.bmm(kept.mT, grad)


def _pieces(query: Tensor, key: Tensor, heads: int) -> list[slice]:
    """Slices of the first axis; a sample's heads stay together."""
    size = len(query)
    if PIECE is not None and query.device.type == "cpu":
        size = heads * max(1, PIECE // (heads * query.shape[1] * key.shape[1]))
    return [slice(start, min(start + size, len(query))) for start in range(0, len(query), size)]
