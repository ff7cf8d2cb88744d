"""The weights of a stack of Transformers; a layer norm's scale and shift go into the product behind it."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.attention.layer import Products
from mmsa_core.attention.layers import Folded


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

    def products(self, groups: Sequence[Sequence[int]], out_scale: Float[Tensor, "rows 1 1"] | None) -> list[Products]:
        """The weights of each group of Transformers [layers * members, in, out]; that of `out` times `out_scale`."""
        whole = self._folded(out_scale)
        if all(len(members) == 1 for members in groups):  # one cut, whose gradient is one concatenation
            each = [torch.unbind(x.view(self.layers, self.stack, *x.shape[1:]), dim=1) for x in whole]
            return [Products(*(x[first] for x in each)) for (first,) in groups]
        return [self._group(whole, members) for members in groups]

    def _group(self, whole: Products, members: Sequence[int]) -> Products:
        if len(members) == self.stack:
            return whole
        rows = [layer * self.stack + member for layer in range(self.layers) for member in members]
        return Products(*(x[rows] for x in whole))

    def _folded(self, out_scale: Float[Tensor, "rows 1 1"] | None) -> Products:
        """All weights, for inputs that are normed but neither scaled nor shifted."""
        own: dict[str, Tensor] = dict(self.named_parameters())
        for name in ("attend", "inner"):
            parts = (own[name], own[f"{name}_bias"], own.pop(f"{name}_scale"), own.pop(f"{name}_shift"))
            own[name], own[f"{name}_bias"] = Folded.apply(*parts)  # type: ignore[no-untyped-call]
        if out_scale is not None:
            own["out"] = own["out"] * out_scale
        return Products(**own)
