"""The weights of a stack of Transformers; a layer norm's scale and shift go into the product behind it."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.attention.block import Products

OWN = ("own", "own_bias", "own_scale", "own_shift")
SOURCE = ("query", "query_bias", "key_value", "key_value_bias", "source_scale", "source_shift")


class Weights(nn.Module):
    """The products and layer norms of all layers: first the Transformers with a source, then those without.

    A weight is [layers * stack, in, out], layer after layer. `own` is query, key and value side by side;
    `key_value` [2, stack, in, layers, out] has keys and values of all layers for each Transformer with a
    source. Initialised as the published code does: Xavier uniform (query, key and value as one matrix), zero
    biases.
    """

    def __init__(self, layers: int, with_source: int, alone: int, dim: int) -> None:
        super().__init__()
        self.layers, self.with_source, self.alone = layers, with_source, alone
        bound = math.sqrt(6 / (dim + 3 * dim))
        if with_source:
            self.query = _uniform(bound, layers * with_source, dim, dim)
            self.query_bias = nn.Parameter(torch.zeros(layers * with_source, 1, dim))
            self.key_value = _uniform(bound, 2, with_source, dim, layers, dim)
            self.key_value_bias = nn.Parameter(torch.zeros(2, with_source, layers, dim))
            self.source_scale = nn.Parameter(torch.ones(layers * with_source, dim, 1))
            self.source_shift = nn.Parameter(torch.zeros(layers * with_source, 1, dim))
        if alone:
            self.own = _uniform(bound, layers * alone, dim, 3 * dim)
            self.own_bias = nn.Parameter(torch.zeros(layers * alone, 1, 3 * dim))
            self.own_scale = nn.Parameter(torch.ones(layers * alone, dim, 1))
            self.own_shift = nn.Parameter(torch.zeros(layers * alone, 1, dim))
        stack = layers * (with_source + alone)
        for name, wide, out in (("out", dim, dim), ("inner", dim, 4 * dim), ("outer", 4 * dim, dim)):
            self.register_parameter(name, _uniform(math.sqrt(6 / (wide + out)), stack, wide, out))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(stack, 1, out)))
        self.scale = nn.Parameter(torch.ones(stack, dim, 1))
        self.shift = nn.Parameter(torch.zeros(stack, 1, dim))

    def folded(
        self, members: Sequence[int], out_scale: Float[Tensor, "stack 1 1"] | None
    ) -> tuple[list[Products], tuple[Tensor, Tensor] | None]:
        r"""The products of some Transformers, by layer, for inputs that are normed but neither scaled nor shifted.

        .. math:: (n * g + b) W + c = n (g^T * W) + (b W + c)

        The second value is weight [2 * stack, d, layers * d] and bias of the keys and values of every layer
        of those with a source. The weight of `out` is multiplied by `out_scale`.
        """
        sources = [m for m in members if m < self.with_source]
        alone = [m - self.with_source for m in members if m >= self.with_source]
        query: Sequence[tuple[Tensor | None, Tensor | None]] = self.layers * [(None, None)]
        own: Sequence[tuple[Tensor | None, Tensor | None]] = self.layers * [(None, None)]
        given = None
        if sources:
            query, given = self._sources(sources)
        if alone:
            own = self._split(*_fold(*(self._rows(name, alone, self.alone) for name in OWN)), len(alone))
        every = self.with_source + self.alone
        shared = {n: self._rows(n, members, every) for n in ("out", "out_bias", "inner", "inner_bias")}
        shared |= {n: self._rows(n, members, every) for n in ("outer", "outer_bias", "scale", "shift")}
        out = shared["out"]
        if out_scale is not None:
            out = (out.view(self.layers, len(members), *out.shape[1:]) * out_scale).flatten(0, 1)
        inner = _fold(shared["inner"], shared["inner_bias"], shared["scale"], shared["shift"])
        parts: list[Sequence[tuple[Tensor | None, Tensor | None]]] = [
            query,
            own,
            self._split(out, shared["out_bias"], len(members)),
            self._split(*inner, len(members)),
            self._split(shared["outer"], shared["outer_bias"], len(members)),
        ]
        return [Products.of(*layer) for layer in zip(*parts, strict=True)], given

    def _sources(self, members: list[int]) -> tuple[list[tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]:
        """Queries by layer, and keys and values of all layers."""
        query, bias, scale, shift = (
            self._rows(n, members, self.with_source) for n in ("query", "query_bias", "source_scale", "source_shift")
        )
        every = len(members) == self.with_source
        key_value = self.key_value if every else self.key_value[:, members]
        key_value_bias = self.key_value_bias if every else self.key_value_bias[:, members]
        by_member = [t.view(self.layers, len(members), -1, 1).permute(1, 2, 0, 3) for t in (scale, shift)]
        weight = (by_member[0] * key_value).flatten(3).flatten(0, 1)
        offset = ((by_member[1] * key_value).sum(dim=2) + key_value_bias).flatten(2).flatten(0, 1).unsqueeze(1)
        return self._split(*_fold(query, bias, scale, shift), len(members)), (weight, offset)

    def _rows(self, name: str, members: Sequence[int], stack: int) -> Tensor:
        """A parameter's rows of some members in every layer."""
        parameter: Tensor = getattr(self, name)
        if len(members) == stack:
            return parameter
        return parameter[[layer * stack + member for layer in range(self.layers) for member in members]]

    def _split(self, weight: Tensor, bias: Tensor, stack: int) -> list[tuple[Tensor, Tensor]]:
        return list(zip(torch.split(weight, stack), torch.split(bias, stack), strict=True))


def _uniform(bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def _fold(weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    return scale * weight, torch.baddbmm(bias, shift, weight)
