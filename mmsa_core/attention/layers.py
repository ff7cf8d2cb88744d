"""All layers of stacked Transformers as one operation to autograd, and the layer norms' part in their weights."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmsa_core.attention import layer
from mmsa_core.attention.layer import Kept, Layout, Pair, Products, Sources, Transposed


def run(
    layouts: Sequence[Layout], state: Float[Tensor, "stack rows d"], sources: Sources | None, w: Products
) -> Float[Tensor, "stack rows d"]:
    """The layers one after the other; `w` has theirs on its first axis [layers * stack, in, out]."""
    if torch.is_grad_enabled():
        keys, values = sources or (None, None)
        found: Tensor = _Layers.apply(layouts, state, keys, values, *w)  # type: ignore[no-untyped-call]
        return found
    for layout, own in zip(layouts, _by_layer(_arranged(w, state, sources), len(layouts)), strict=True):
        state, _ = layer.forward(layout, state, sources, Products(*own))
    return state


class _Layers(torch.autograd.Function):
    """`run`, with its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        layouts: Sequence[Layout],
        state: Tensor,
        keys: Tensor | None,
        values: Tensor | None,
        *weights: Tensor,
    ) -> Tensor:
        sources = None if keys is None or values is None else Sources(keys, values)
        w, kept = _arranged(Products(*weights), state, sources), []
        for layout, own in zip(layouts, _by_layer(w, len(layouts)), strict=True):
            state, needed = layer.forward(layout, state, sources, Products(*own))
            kept.append(needed)
        own_tensors = (x for needed in kept for x in (*needed[:-1], *needed.weights))
        ctx.save_for_backward(*(sources or ()), *(getattr(w, name) for name in Transposed._fields), *own_tensors)
        ctx.layouts, ctx.sources, ctx.counts = layouts, len(sources or ()), [len(needed.weights) for needed in kept]
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "stack rows d"]) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        sources = Sources(next(saved), next(saved)) if ctx.sources else None
        transposed = Transposed(*(next(saved).mT for _ in Transposed._fields))
        by_layer = [Transposed(*own) for own in _by_layer(transposed, len(ctx.layouts))]
        fixed = len(Kept._fields) - 1
        kept = [Kept._make((*islice(saved, fixed), tuple(islice(saved, count)))) for count in ctx.counts]
        to_sources: tuple[Tensor, Tensor] | None = None
        pairs: list[list[Pair]] = []
        for layout, needed, own in zip(reversed(ctx.layouts), reversed(kept), reversed(by_layer), strict=True):
            grad, more, of_layer = layer.backward(layout, grad, needed, sources, own)
            pairs.insert(0, of_layer)
            if more is not None:
                to_sources = more if to_sources is None else (to_sources[0] + more[0], to_sources[1] + more[1])
        stack = len(grad)
        products = [_products(list(of_kind)) for of_kind in zip(*pairs, strict=True)]
        *attend, out, inner, outer = products
        return None, grad, *(to_sources or (None, None)), *_side_by_side(attend, stack), *out, *inner, *outer


def _arranged(w: Products, state: Tensor, sources: Sources | None) -> Products:
    """The weights, those of `attend` as the layers' projection wants them."""
    if not layer.joined(len(state), sources, state.shape[1]):
        return w
    attend, bias = (_after_another(x, len(state)) for x in (w.attend, w.attend_bias))
    return w._replace(attend=attend, attend_bias=bias)


def _by_layer(weights: Sequence[Tensor], layers: int) -> list[tuple[Tensor, ...]]:
    """Each layer's share of the first axis."""
    return list(zip(*(torch.split(x, len(x) // layers) for x in weights), strict=True))


def _after_another(x: Float[Tensor, "rows in three"], stack: int) -> Float[Tensor, "rows_ in out"]:
    """Query, key and value of each layer, from side by side [layers * stack, in, 3 out] to [layers * 3 * stack, ..]."""
    cut = x.view(-1, stack, x.shape[1], 3, x.shape[2] // 3)
    return torch.permute_copy(cut, (0, 3, 1, 2, 4)).view(-1, x.shape[1], x.shape[2] // 3)


def _side_by_side(attend: Sequence[tuple[Tensor, Tensor]], stack: int) -> tuple[Tensor, ...]:
    """The gradients of `attend` and its bias in the form in which they were given."""
    if len(attend) == 3:
        return tuple(torch.cat(parts, dim=2) for parts in zip(*attend, strict=True))
    ((weight, bias),) = attend
    if weight.shape[1] != weight.shape[2]:
        return weight, bias
    return tuple(
        torch.permute_copy(x.view(-1, 3, stack, *x.shape[1:]), (0, 2, 3, 1, 4)).view(-1, x.shape[1], 3 * x.shape[2])
        for x in (weight, bias)
    )


def _products(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """The gradients of a product's weight and bias in all layers [layers * stack, ..]; of equal layers at once."""
    alike = sum(pair.x.shape == pairs[0].x.shape for pair in pairs) if len(pairs[0].x) > 1 else 0
    found = [_product(*(torch.cat(side) for side in zip(*pairs[:alike], strict=True)))] if alike else []
    found += [_product(*pair) for pair in pairs[alike:]]
    if len(found) == 1:
        return found[0]
    weight, bias = (torch.cat(parts) for parts in zip(*found, strict=True))
    return weight, bias


def _product(x: Float[Tensor, "rows samples in"], grad: Float[Tensor, "rows samples out"]) -> tuple[Tensor, Tensor]:
    return torch.bmm(x.mT, grad), grad.sum(dim=1, keepdim=True)


class Folded(torch.autograd.Function):
    r"""A product with the scale and shift of the layer norm before it inside.

    .. math:: (n * g + b) W + c = n (g^T * W) + (b W + c)
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight, scale, shift)
        return scale * weight, torch.baddbmm(bias, shift, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_weight: Tensor, to_bias: Tensor) -> tuple[Tensor, ...]:
        weight, scale, shift = ctx.saved_tensors
        to_scale = (to_weight * weight).sum(dim=2, keepdim=True)
        return (
            torch.baddbmm(scale * to_weight, shift.mT, to_bias),
            to_bias,
            to_scale,
            torch.bmm(to_bias, weight.mT),
        )
