"""All layers of stacked Transformers as one operation to autograd, and the layer norms' part in their weights."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmsa_core.attention import layer
from mmsa_core.attention.layer import Heads, Kept, Layout, Pair, Products, Sources, Transposed


def run(
    layouts: Sequence[Layout], state: Float[Tensor, "stack rows d"], sources: Sources | None, w: Products
) -> Float[Tensor, "stack rows d"]:
    """The layers one after the other; `w` has theirs on its first axis [layers * stack, in, out]."""
    stack, rows, dim = state.shape
    given: Sources | Heads | None = sources
    if sources is not None and stack > 1 and sources.keys.shape[1] == rows:
        attend, bias = (_after_another(x, stack) for x in (w.attend, w.attend_bias))
        w = w._replace(attend=attend, attend_bias=bias)
    elif sources is not None:
        parts = zip(torch.split(w.attend, dim, dim=2), torch.split(w.attend_bias, dim, dim=2), strict=True)
        (query, query_bias), *others = parts
        given = Heads(*(_heads(x, *part, layouts) for x, part in zip(sources, others, strict=True)))
        w = w._replace(attend=query, attend_bias=query_bias)
    if torch.is_grad_enabled():
        kind = type(given)
        found: Tensor = _Layers.apply(layouts, state, kind, *(given or (None, None)), *w)  # type: ignore[no-untyped-call]
        return found
    for layout, own, read in zip(layouts, _by_layer(w, len(layouts)), _of_layers(given, len(layouts)), strict=True):
        state, _ = layer.forward(layout, state, read, Products(*own))
    return state


class _Layers(torch.autograd.Function):
    """`run`, with its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        layouts: Sequence[Layout],
        state: Tensor,
        kind: type[Sources] | type[Heads] | type[None],
        keys: Tensor | None,
        values: Tensor | None,
        *weights: Tensor,
    ) -> Tensor:
        given = None if keys is None or values is None else (Heads if kind is Heads else Sources)(keys, values)
        w, kept = Products(*weights), []
        for layout, own, read in zip(layouts, _by_layer(w, len(layouts)), _of_layers(given, len(layouts)), strict=True):
            state, needed = layer.forward(layout, state, read, Products(*own))
            kept.append(needed)
        own_tensors = (x for needed in kept for x in (*needed[:-1], *needed.weights))
        ctx.save_for_backward(*(given or ()), *(getattr(w, name) for name in Transposed._fields), *own_tensors)
        ctx.layouts, ctx.kind, ctx.counts = layouts, kind, [len(needed.weights) for needed in kept]
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "stack rows d"]) -> tuple[Tensor | None, ...]:
        saved, layouts = iter(ctx.saved_tensors), ctx.layouts
        given = None if ctx.kind is type(None) else ctx.kind(next(saved), next(saved))
        transposed = Transposed(*(next(saved).mT for _ in Transposed._fields))
        by_layer = [Transposed(*own) for own in _by_layer(transposed, len(layouts))]
        fixed = len(Kept._fields) - 1
        kept = [Kept._make((*islice(saved, fixed), tuple(islice(saved, count)))) for count in ctx.counts]
        to_given: list[tuple[Tensor, Tensor]] = []
        pairs: list[list[Pair]] = []
        every = zip(layouts, kept, _of_layers(given, len(layouts)), by_layer, strict=True)
        for layout, needed, read, own in reversed(list(every)):
            grad, more, of_layer = layer.backward(layout, grad, needed, read, own)
            pairs.insert(0, of_layer)
            if more is not None:
                to_given.insert(0, more)
        (attend, bias), *others = (_products(of_kind) for of_kind in zip(*pairs, strict=True))
        return None, grad, None, *_gathered(to_given, ctx.kind), attend, bias, *(x for each in others for x in each)


def _heads(
    x: Float[Tensor, "stack keys d"], weight: Tensor, bias: Tensor, layouts: Sequence[Layout]
) -> Float[Tensor, "layers heads h K"]:
    """The keys, or the values, of all layers as one product of what is the same in each."""
    layers, (stack, _, dim), layout = len(layouts), x.shape, layouts[0]
    wide, wide_bias = (each.view(layers, stack, -1, dim).permute(1, 2, 0, 3).flatten(2) for each in (weight, bias))
    cut = torch.baddbmm(wide_bias, x, wide).view(stack * layout.batch, -1, layers, dim)
    return cut.permute(2, 0, 3, 1).reshape(layers, stack * layout.batch * layout.heads, dim // layout.heads, -1)


def _of_layers(given: Sources | Heads | None, layers: int) -> Sequence[Sources | Heads | None]:
    """What each layer reads."""
    if isinstance(given, Heads):
        return [Heads(k, v) for k, v in zip(given.keys.unbind(0), given.values.unbind(0), strict=True)]
    return [given] * layers


def _gathered(to_given: Sequence[tuple[Tensor, Tensor]], kind: type) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of what is read, from those of each layer: sources are the same in all of them."""
    if not to_given:
        return None, None
    keys, values = (list(each) for each in zip(*to_given, strict=True))
    if kind is Heads:
        return torch.stack(keys), torch.stack(values)
    return sum(keys[1:], keys[0]), sum(values[1:], values[0])


def _by_layer(weights: Sequence[Tensor], layers: int) -> list[tuple[Tensor, ...]]:
    """Each layer's share of the first axis."""
    return list(zip(*(x.chunk(layers) for x in weights), strict=True))


def _after_another(x: Float[Tensor, "rows in three"], stack: int) -> Float[Tensor, "rows_ in out"]:
    """Query, key and value of each layer, from side by side [layers * stack, in, 3 out] to [layers * 3 * stack, ..]."""
    cut = x.view(-1, stack, x.shape[1], 3, x.shape[2] // 3)
    return cut.permute(0, 3, 1, 2, 4).reshape(-1, x.shape[1], x.shape[2] // 3)


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
