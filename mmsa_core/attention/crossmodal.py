"""Crossmodal attention (MulT, Tsai et al., ACL 2019): every modality reads every other one, then remembers.

MulT and DMD's heterogeneous branch have this part in common.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmsa_core.attention.form import few_operations
from mmsa_core.attention.frames import Frames, as_list, as_one, standing
from mmsa_core.attention.heads import check_heads
from mmsa_core.attention.stack import Rates, Stack
from mmsa_core.components import ComponentConfig, Context
from mmsa_core.errors import UserError
from mmsa_core.types import Encoded, Modality

Rate = Annotated[float, Field(ge=0, lt=1)]
MEMORY_LAYERS = 3
"""Memory Transformers have at least so many layers in both published codes."""


class CrossmodalConfig(ComponentConfig):
    """The Transformers of a fusion with crossmodal attention."""

    heads: PositiveInt = 10
    """Attention heads; must divide the model's width."""
    layers: PositiveInt = 4
    """Layers of each Transformer; the memory Transformers have at least 3, as published."""
    causal: bool = True
    """A frame attends to no later one: query i sees key j when j <= i + |difference of the lengths|, with `hide` of the
    lengths without padding."""
    hide: bool = False
    """True: frames that are missing are no keys, the last frame that is there stands for a sequence, and a missing
    modality's part of the joint representation is zero. False, as published: missing frames are zero vectors
    without position, which are attended to, and the last step stands for the sequence even where it is padding."""
    attention_dropout: Rate | dict[Modality, Rate] = 0.0
    """Dropout of the attention weights; where it differs by modality, that of the modality that is attended to."""
    memory_dropout: Rate | None = None
    """The same in the memory Transformers; by default that of the recipe's first modality."""
    embedding_dropout: Rate = 0.0
    """Dropout of the scaled input with its positions."""
    inner_dropout: Rate = 0.0
    """Dropout after the ReLU of the feed-forward part."""
    residual_dropout: Rate = 0.0
    """Dropout of each part's result before it is added to its input."""
    output_dropout: Rate = 0.0
    """Dropout inside the prediction heads."""

    def rate(self, modality: Modality) -> float:
        """The attention dropout where `modality` is attended to."""
        return (
            self.attention_dropout.get(modality, 0.0)
            if isinstance(self.attention_dropout, dict)
            else (self.attention_dropout)
        )

    def stack(self, dim: int, attention: list[float], layers: int) -> Stack:
        """Transformers with these rates of attention dropout."""
        rates = Rates(attention, self.embedding_dropout, self.inner_dropout, self.residual_dropout)
        return Stack(len(attention), dim, self.heads, layers, rates, causal=self.causal, hide=self.hide)


class Crossmodal(nn.Module):
    """One Transformer for every ordered pair of modalities, and a memory Transformer for each modality.

    The memory of a modality reads what it got from the others, side by side in the recipe's order:
    it is (modalities - 1) * dim wide. With `alone`, one more Transformer for each modality reads a sequence
    of its own beside the pairs (the shared parts of DMD).
    """

    readers_of: Tensor
    """The modality that reads, and the one that is read, of each pair [pairs]."""
    read_by: Tensor

    def __init__(self, config: CrossmodalConfig, context: Context, who: str, alone: bool = False) -> None:
        super().__init__()
        self.modalities = tuple(context.channels)
        check(config, context, who)
        self.pairs = [(m, s) for m in self.modalities for s in self.modalities if s != m]
        self.alone = self.modalities if alone else ()
        rates = [config.rate(read) for read in (*(source for _, source in self.pairs), *self.alone)]
        self.readers = config.stack(context.dim, rates, config.layers)
        memory = config.rate(self.modalities[0]) if config.memory_dropout is None else config.memory_dropout
        layers = max(config.layers, MEMORY_LAYERS)
        self.memory = config.stack(self.width(context), [memory] * len(self.modalities), layers)
        self.hide = config.hide
        at = {m: n for n, m in enumerate(self.modalities)}
        for name, side in (("readers_of", 0), ("read_by", 1)):
            index = torch.tensor([at[pair[side]] for pair in self.pairs])
            self.register_buffer(name, index, persistent=False)

    @staticmethod
    def width(context: Context) -> int:
        """Width of a modality's memory."""
        return (len(context.channels) - 1) * context.dim

    def forward(
        self, sequences: Sequence[Frames] | Frames, alone: Sequence[Frames] | Frames | None = None
    ) -> tuple[Float[Tensor, "modalities batch width"], Float[Tensor, "modalities batch dim"] | None]:
        """The last frame of each modality's memory, and of each Transformer that reads alone.

        Sequences are in the recipe's order; where all have one length they may be stacked already.
        """
        first = sequences.x if isinstance(sequences, Frames) else sequences[0].x
        if few_operations(first.device):
            whole, own = as_one(sequences), None if alone is None else as_one(alone)
            if whole is not None and (own is not None or alone is None):
                return self._together(whole, own)
        return self._listed(as_list(sequences), [] if alone is None else as_list(alone))

    def _listed(self, sequences: Sequence[Frames], alone: Sequence[Frames]) -> tuple[Tensor, Tensor | None]:
        by_name = dict(zip(self.modalities, sequences, strict=True))
        queries = [*(by_name[m] for m, _ in self.pairs), *alone]
        lone = range(len(self.pairs), len(queries))
        read = self.readers(queries, [by_name[s] for _, s in self.pairs], last=lone)
        got: dict[Modality, list[Tensor]] = {m: [] for m in self.modalities}
        for (modality, _), x in zip(self.pairs, read, strict=False):
            got[modality].append(x)
        real = [each.real if self.hide else None for each in sequences]
        joined = [Frames(torch.cat(got[m], dim=2), r) for m, r in zip(self.modalities, real, strict=True)]
        memory = torch.stack(self.memory(joined, last=range(len(joined))))
        return memory, torch.stack(read[len(self.pairs) :]) if alone else None

    def _together(self, x: Frames, alone: Frames | None) -> tuple[Tensor, Tensor | None]:
        """The same with all modalities in each operation."""
        queries = x.of(self.readers_of)
        if alone is not None:
            real = None
            if queries.real is not None and alone.real is not None:
                real = torch.cat([queries.real, alone.real])
            queries = Frames(torch.cat([queries.x, alone.x]), real)
        read = self.readers.together(queries, x.of(self.read_by))
        count = len(self.modalities)
        of_pairs = read[: len(self.pairs)].view(count, count - 1, *read.shape[1:])
        joined = of_pairs.permute(0, 2, 3, 1, 4).flatten(3)
        memory = self.memory.together(Frames(joined, x.real if self.hide else None), last=True)
        return memory, None if alone is None else standing(alone, read[len(self.pairs) :], self.hide)


def check(config: CrossmodalConfig, context: Context, who: str) -> None:
    """Refuse sizes that cannot work, with the key to change."""
    if len(context.channels) < 2:
        raise UserError(
            f"{who} joins pairs of modalities, but model.encoders names only {', '.join(context.channels)}; "
            "name at least two, or use fusion concat"
        )
    check_heads(who, config.heads, context.dim)
    if isinstance(config.attention_dropout, dict):
        for modality in config.attention_dropout:
            if modality not in context.channels:
                raise UserError(
                    f"{who}: attention_dropout names '{modality}', which is not among the modalities "
                    f"{', '.join(context.channels)}"
                )


def summary(
    x: Float[Tensor, "modalities batch width"], encoded: Mapping[Modality, Encoded], hide: bool
) -> Float[Tensor, "modalities batch width"]:
    """With `hide`, zero where the modality is missing altogether."""
    if not hide:
        return x
    present = torch.stack([of.present for of in encoded.values()])
    return x.masked_fill(~present.unsqueeze(2), 0.0)


def frames(encoded: Mapping[Modality, Encoded]) -> list[Frames]:
    """The sequences of encoded modalities."""
    return [Frames(of.sequence, of.observed) for of in encoded.values()]
