"""Several Transformers of one shape, computed as one (Tsai et al., ACL 2019, https://arxiv.org/abs/1906.00295).

The Multimodal Transformer and DMD run a dozen small Transformers side by side. Here those of one shape
share each product: weights and activations carry the Transformer's number as their first axis. On a CPU, where
the tensors of one Transformer stay in the cache and those of all do not, each is a stack of its own. Symbols:
stack = Transformers, T = frames of the query, K = frames of the source, d = width, h = d / heads.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.attention import layers, masks, positions
from mmsa_core.attention.dropout import LEVELS, dropout, factors, keep_mask, levels
from mmsa_core.attention.form import few_operations
from mmsa_core.attention.frames import Frames, last_frames, stacked, standing
from mmsa_core.attention.layer import Layout, Products, Sources
from mmsa_core.attention.weights import Weights
from mmsa_core.recording import uncached


@dataclass(frozen=True)
class Rates:
    """Dropout rates: attention weights (one for each Transformer), embedded input, inner layer, residuals."""

    attention: Sequence[float]
    embedding: float = 0.0
    inner: float = 0.0
    residual: float = 0.0


class Stack(nn.Module):
    r"""Pre-norm Transformers with sinusoidal positions, scaled input and a last layer norm.

    .. math:: x_0 = \sqrt d\, x + PE, \qquad
              y = x_l + \mathrm{MHA}(LN_1(x_l), LN_1(s), LN_1(s)), \qquad x_{l+1} = y + W_2\,\mathrm{relu}(W_1 LN_2(y))

    A Transformer reads a source, s being the embedded source at every layer, or itself: s is x_l. A frame
    that is not there has no position. With `hide` it is no key either, and the last frame that is there
    stands for a sequence; without it (as published) every frame is a key, and the last step stands for it.
    """

    dropped: Tensor
    """How many of the 256 values of a byte drop an attention weight, for each Transformer [stack, 1]."""
    out_scale: Tensor
    """What makes up for it in each product behind the attention [layers * stack, 1, 1]."""

    def __init__(
        self,
        stack: int,
        dim: int,
        heads: int,
        layers: int,
        rates: Rates,
        *,
        causal: bool = True,
        hide: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.layers = dim, heads, layers
        self.rates, self.causal, self.hide = rates, causal, hide
        self.weights = Weights(layers, stack, dim)
        self.scale = nn.Parameter(torch.ones(stack, 1, dim))
        self.shift = nn.Parameter(torch.zeros(stack, 1, dim))
        self.dropping = [levels(rate) > 0 for rate in rates.attention]
        dropped = torch.tensor([levels(rate) for rate in rates.attention])
        self.register_buffer("dropped", dropped.to(torch.uint8).unsqueeze(1), persistent=False)
        scale = (LEVELS / (LEVELS - dropped)).repeat(layers).view(-1, 1, 1)
        self.register_buffer("out_scale", scale, persistent=False)

    def forward(
        self, x: Sequence[Frames], source: Sequence[Frames] = (), *, last: Collection[int] = ()
    ) -> list[Tensor]:
        """Transformer i on `x[i]`, which reads `source[i]` or itself: [batch, T, d], or if `last` has i [batch, d]."""
        distinct = {id(frames): frames for frames in (*x, *source)}
        placed = {name: self._placed(frames) for name, frames in distinct.items()}
        x, source = ([placed[id(frames)] for frames in each] for each in (x, source))
        groups = self._groups(x, [*source, *x[len(source) :]])
        products, norms = self.weights.products(groups, self._out_scale()), self._norms(groups)
        found: dict[int, Tensor] = {}
        for members, weights, norm in zip(groups, products, norms, strict=True):
            read = [source[i] for i in members if i < len(source)]
            only = all(i in last for i in members)
            own = stacked([x[i] for i in members])
            out = self._run(members, weights, norm, own, stacked(read) if read else None, only)
            found.update(zip(members, out.unbind(0), strict=True))
            if not only:
                found |= {i: standing(x[i], found[i], self.hide) for i in members if i in last}
        return [found[i] for i in range(len(x))]

    def together(
        self, x: Frames, source: Frames | None = None, *, last: bool = False
    ) -> Float[Tensor, "stack batch T d"] | Float[Tensor, "stack batch d"]:
        """The same for sequences of one length that are stacked already; those that read a source come first."""
        members = range(len(x.x))
        (weights,) = self.weights.products([members], self._out_scale())
        read = None if source is None else self._placed(source)
        return self._run(members, weights, (self.scale, self.shift), self._placed(x), read, last)

    def _out_scale(self) -> Tensor | None:
        return self.out_scale if self.training and any(self.dropping) else None

    def _groups(self, x: Sequence[Frames], keys: Sequence[Frames]) -> list[list[int]]:
        """The Transformers that are computed as one: those on equal lengths, or each by itself."""
        if not few_operations(x[0].x.device):
            return [[i] for i in range(len(x))]
        groups: dict[tuple[int, int], list[int]] = {}
        for i, (query, key) in enumerate(zip(x, keys, strict=True)):
            groups.setdefault((query.x.shape[1], key.x.shape[1]), []).append(i)
        return list(groups.values())

    def _norms(self, groups: Sequence[Sequence[int]]) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift of the last layer norm of each group."""
        if len(groups) == 1:
            return [(self.scale, self.shift)]
        if len(groups) == len(self.scale):
            return list(zip(torch.split(self.scale, 1), torch.split(self.shift, 1), strict=True))
        return [(self.scale[members], self.shift[members]) for members in groups]

    def _run(
        self,
        members: Sequence[int],
        products: Products,
        norm: tuple[Tensor, Tensor],
        x: Frames,
        source: Frames | None,
        last: bool,
    ) -> Tensor:
        """The Transformers `members` on placed sequences of one length: [stack, batch, T, d] or [stack, batch, d]."""
        if not x.x.shape[1]:  # no sample: nothing tells how long a sequence is
            return x.x[:, :, -1] if last else x.x
        drops = self.training and any(self.dropping[i] for i in members)
        dropped = self.dropped if len(members) == len(self.dropped) else self.dropped[members]
        layouts = self._layouts(x, source, dropped if drops else None, last)
        state = dropout(x.x, self.rates.embedding, self.training).flatten(1, 2)
        state = layers.run(layouts, state, None if source is None else self._sources(source), products)
        state = torch.addcmul(norm[1], F.layer_norm(state, (self.dim,)), norm[0])
        return state if last else state.view(x.x.shape)

    def _sources(self, source: Frames) -> Sources:
        """The normed sources of keys and of values, which have dropout masks of their own."""
        x = source.x.flatten(1, 2)
        if not self.training or not self.rates.embedding:
            x = F.layer_norm(x, (self.dim,))
            return Sources(x, x)
        both = dropout(x.expand(2, *x.shape), self.rates.embedding, self.training)
        return Sources(*F.layer_norm(both, (self.dim,)).unbind(0))

    def _placed(self, frames: Frames) -> Frames:
        """Scaled, with positions."""
        x = frames.x
        table = uncached(positions.table)(x.shape[-2], self.dim, x.device, x.dtype)
        at = table[1:] if frames.real is None else table[positions.indices(frames.real)]
        return Frames(torch.add(at, x, alpha=math.sqrt(self.dim)), frames.real)

    def _layouts(self, x: Frames, source: Frames | None, dropped: Tensor | None, last: bool) -> list[Layout]:
        """What each layer knows besides its tensors; the dropout masks of all layers are drawn at once."""
        stack, batch, time, _ = x.x.shape
        keys = time if source is None else source.x.shape[2]
        there = masks.there(x, source) if self.hide else None
        base = Layout(batch, self.heads, masks.scores(x, keys, there, self.causal))
        if base.scores is not None and there is not None:
            base = replace(base, alive=masks.alive(base.scores, time).view(stack, batch * time, 1).to(x.x.dtype))
        layouts = self.layers * [base]
        if dropped is not None:
            keep = keep_mask((self.layers, stack, batch * self.heads * time * keys), dropped)
            layouts = [replace(base, keep=k) for k in keep.view(self.layers, -1, time, keys).unbind(0)]
        if last:
            layouts[-1] = layouts[-1].only(last_frames(x, self.hide).flatten())
        return [self._with_factors(layout, x) for layout in layouts]

    def _with_factors(self, layout: Layout, x: Frames) -> Layout:
        """The layout with the dropout factors of residuals and inner layer."""
        residual, inner = self.rates.residual, self.rates.inner
        if not self.training or not (residual or inner):
            return layout
        stack, batch, time, dim = x.x.shape
        rows = batch * (time if layout.at is None else 1)
        attended, outer = (factors((stack, rows, dim), residual, x.x) for _ in range(2))
        return replace(layout, attended=attended, outer=outer, inner=factors((stack, rows, 4 * dim), inner, x.x))
