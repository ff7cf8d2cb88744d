"""The weights of a stack of Transformers; a layer norm's scale and shift go into the product behind it."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.attention.block import Products


class Weights(nn.Module):
    """The products and layer norms of all layers, layer after layer on the first axis: [layers * stack, in, out].

    `attend` is query, key and value side by side. Initialised as the published code does: Xavier uniform
    (query, key and value as one matrix), zero biases.
    """

    def __init__(self, layers: int, stack: int, dim: int) -> None:
        super().__init__()
        self.layers, self.stack, rows = layers, stack, layers * stack
        for name, wide, out in (
            ("attend", dim, 3 * dim),
            ("out", dim, dim),
            ("inner", dim, 4 * dim),
            ("outer", 4 * dim, dim),
        ):
            bound = math.sqrt(6 / (wide + out))
            self.register_parameter(name, nn.Parameter(torch.empty(rows, wide, out).uniform_(-bound, bound)))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(rows, 1, out)))
        for name in ("attend", "inner"):
            self.register_parameter(f"{name}_scale", nn.Parameter(torch.ones(rows, dim, 1)))
            self.register_parameter(f"{name}_shift", nn.Parameter(torch.zeros(rows, 1, dim)))

    def products(
        self, groups: Sequence[Sequence[int]], out_scale: Float[Tensor, "rows 1 1"] | None
    ) -> list[list[Products]]:
        """The products of each group of Transformers, by layer; the weight of `out` is multiplied by `out_scale`."""
        own = self._folded(out_scale)
        if all(len(members) == 1 for members in groups):  # one cut, whose gradient is one concatenation
            rows = {name: torch.split(x, 1) for name, x in own.items()}
            each = [Products(**dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)]
            return [each[first :: self.stack] for (first,) in groups]
        return [self._group(own, members) for members in groups]

    def _group(self, own: Mapping[str, Tensor], members: Sequence[int]) -> list[Products]:
        if len(members) < self.stack:
            rows = [layer * self.stack + member for layer in range(self.layers) for member in members]
            own = {name: x[rows] for name, x in own.items()}
        layers = zip(*(torch.split(x, len(members)) for x in own.values()), strict=True)
        return [Products(**dict(zip(own, layer, strict=True))) for layer in layers]

    def _folded(self, out_scale: Float[Tensor, "rows 1 1"] | None) -> dict[str, Tensor]:
        r"""All weights, for inputs that are normed but neither scaled nor shifted.

        .. math:: (n * g + b) W + c = n (g^T * W) + (b W + c)
        """
        own: dict[str, Tensor] = dict(self.named_parameters())
        for name in ("attend", "inner"):
            weight = own[name]
            own[name] = own.pop(f"{name}_scale") * weight
            own[f"{name}_bias"] = torch.baddbmm(own[f"{name}_bias"], own.pop(f"{name}_shift"), weight)
        if out_scale is not None:
            own["out"] = own["out"] * out_scale
        return own
