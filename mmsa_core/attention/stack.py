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
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mmsa_core.attention import layers, positions
from mmsa_core.attention.dropout import LEVELS, dropout, factors, keep_mask, levels
from mmsa_core.attention.form import few_operations
from mmsa_core.attention.layer import Layout, Products, Sources
from mmsa_core.attention.weights import Weights

HIDDEN = -1e30
"""Score of a hidden key: finite, so that a query all of whose keys are hidden has weights, which are then not used."""


@dataclass(frozen=True)
class Rates:
    """Dropout rates: attention weights (one for each Transformer), embedded input, inner layer, residuals."""

    attention: Sequence[float]
    embedding: float = 0.0
    inner: float = 0.0
    residual: float = 0.0


@dataclass(frozen=True)
class Frames:
    """A sequence, or several of one shape, and which of its frames are there (None: all)."""

    x: Float[Tensor, "*stack batch T d"]
    real: Bool[Tensor, "*stack batch T"] | None = None

    def of(self, index: Int64[Tensor, " chosen"]) -> "Frames":
        """Some of several sequences."""
        return Frames(self.x.index_select(0, index), None if self.real is None else self.real.index_select(0, index))


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
                found |= {i: self.last(x[i], found[i]) for i in members if i in last}
        return [found[i] for i in range(len(x))]

    def together(
        self, x: Frames, source: Frames | None = None, *, last: bool = False
    ) -> Float[Tensor, "stack batch T d"] | Float[Tensor, "stack batch d"]:
        """The same for sequences of one length that are stacked already; those that read a source come first."""
        members = range(len(x.x))
        (weights,) = self.weights.products([members], self._out_scale())
        read = None if source is None else self._placed(source)
        return self._run(members, weights, (self.scale, self.shift), self._placed(x), read, last)

    def last(self, frames: Frames, x: Float[Tensor, "*stack batch T d"]) -> Float[Tensor, "*stack batch d"]:
        """What a sequence became in the frame that stands for it."""
        if not self.hide:
            return x[..., -1, :]
        at = last_frames(frames, self.hide)[..., None, None].expand(*x.shape[:-2], 1, x.shape[-1])
        return x.gather(-2, at).squeeze(-2)

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

    def _there(self, x: Frames, source: Frames | None) -> Bool[Tensor, "stack batch K"] | None:
        """With `hide`, which keys are there; None where nothing is missing, of the queries either."""
        if not self.hide:
            return None
        if source is None:
            return x.real
        alone = slice(len(source.x), None)
        if source.real is None and x.real is None:
            return None
        real = source.x.new_ones(source.x.shape[:3], dtype=torch.bool) if source.real is None else source.real
        if len(source.x) == len(x.x):
            return real
        own = x.x[alone].new_ones(x.x[alone].shape[:3], dtype=torch.bool) if x.real is None else x.real[alone]
        return torch.cat([real, own])

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
        drops = self.training and any(self.dropping[i] for i in members)
        dropped = self.dropped if len(members) == len(self.dropped) else self.dropped[members]
        keys = x.x.shape[2] if source is None else source.x.shape[2]
        layouts = self._layouts(x, keys, self._there(x, source), dropped if drops else None, last)
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
        table = positions.table(x.shape[-2], self.dim, x.device, x.dtype)
        at = table[1:] if frames.real is None else table[positions.indices(frames.real)]
        return Frames(torch.add(at, x, alpha=math.sqrt(self.dim)), frames.real)

    def _layouts(self, x: Frames, keys: int, there: Tensor | None, dropped: Tensor | None, last: bool) -> list[Layout]:
        """What each layer knows besides its tensors; the dropout masks of all layers are drawn at once."""
        stack, batch, time, _ = x.x.shape
        base = Layout(batch, self.heads, self._scores(x, keys, there))
        if base.scores is not None and there is not None:
            alive = (base.scores > HIDDEN / 2).any(dim=3).expand(-1, -1, time)
            base = replace(base, alive=alive.reshape(stack, batch * time, 1).to(x.x.dtype))
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

    def _scores(self, x: Frames, keys: int, there: Bool[Tensor, "stack batch K"] | None) -> Tensor | None:
        """What is added to the scores: [T, K], or where keys are hidden [stack * batch, 1, T, K]."""
        time = x.x.shape[2]
        if there is None:
            return positions.causal(time, keys, x.x.device, x.x.dtype) if self.causal else None
        hidden = x.x.new_zeros(there.shape).masked_fill_(~there, HIDDEN).view(-1, 1, 1, keys)
        if not self.causal:
            return hidden.expand(-1, -1, time, -1)
        # lengths without padding, which must not matter where it is hidden
        longer = (last_frames(x, hide=True) - last_there(there)).abs()
        return hidden + positions.causal_from(time, keys, longer.flatten(), x.x.dtype).unsqueeze(1)


def last_frames(x: Frames, hide: bool) -> Int64[Tensor, "*stack batch"]:
    """The index of the frame that stands for each sequence: the last step, or with `hide` the last that is there."""
    if not hide or x.real is None:
        return torch.full(x.x.shape[:-2], x.x.shape[-2] - 1, device=x.x.device)
    return last_there(x.real)


def last_there(real: Bool[Tensor, "*stack batch T"]) -> Int64[Tensor, "*stack batch"]:
    """The index of the last frame that is there; 0 where none is."""
    return (positions.indices(real).amax(dim=-1) - 1).clamp(min=0)


def stacked(frames: Sequence[Frames]) -> Frames:
    """Sequences of one shape on a new first axis."""
    if len(frames) == 1:
        (only,) = frames
        return Frames(only.x.unsqueeze(0), None if only.real is None else only.real.unsqueeze(0))
    x = torch.stack([f.x for f in frames])
    if all(f.real is None for f in frames):
        return Frames(x)
    whole = x.new_ones(x.shape[1:3], dtype=torch.bool)
    return Frames(x, torch.stack([whole if f.real is None else f.real for f in frames]))
