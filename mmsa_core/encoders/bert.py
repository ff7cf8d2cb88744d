"""BERT (Devlin et al., NAACL 2019) on tokens, then another encoder on its last hidden states."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import PositiveFloat, PositiveInt, WithJsonSchema, field_validator, model_validator
from torch import Tensor, nn

from mmsa_core import registry
from mmsa_core.closed import Closed
from mmsa_core.components import ComponentConfig, Context, Encoder
from mmsa_core.encoders import masked, pretrained, tokens
from mmsa_core.encoders.tokens import Special
from mmsa_core.errors import UserError
from mmsa_core.example import Example, Untried
from mmsa_core.recipes.sections import Encoder as EncoderConfig
from mmsa_core.types import Encoded, Modality

Then = Annotated[EncoderConfig, WithJsonSchema({"type": "object", "required": ["name"]})]
"""Any encoder; in the JSON schema without its fields, since it may be another BERT."""


class Architecture(Closed):
    """Sizes of a BERT without trained weights."""

    hidden: PositiveInt
    """Width of its states."""
    layers: PositiveInt
    heads: PositiveInt
    """Attention heads; must divide `hidden`."""
    intermediate: PositiveInt
    """Width of the feed-forward parts."""
    vocabulary: PositiveInt
    """Number of token ids."""

    @model_validator(mode="after")
    def _divided(self) -> "Architecture":
        if self.hidden % self.heads:
            raise ValueError(f"{self.heads} heads do not divide hidden {self.hidden}")
        return self


class Bert(Encoder):
    """Reads token ids [samples, time, 3] (id, attention mask, segment id; the mask is what `observed` says).

    A missing token is [UNK] to BERT, [CLS] and [SEP] are always there, and what lies beyond the last observed
    token does not exist (see `tokens`). `then` gets the hidden states of the observed tokens.
    """

    raw = True
    below: Tensor
    """What id, mask and segment id must be less than."""

    class Config(ComponentConfig):
        model: str | None = None
        """A folder with config.json and model.safetensors, or a name of the Hugging Face Hub. A trained run is rebuilt
        from the same folder, whose weights are then replaced by the run's."""
        architecture: Architecture | None = None
        """In place of `model`: sizes of a BERT that starts with random weights."""
        special: Special | None = None
        """Ids of [PAD], [UNK], [CLS] and [SEP]; by default those in the model's vocab.txt or tokenizer.json, else those
        of Google's BERT: 0, 100, 101 and 102."""
        trainable: bool = True
        """Fine-tuned with the rest, or frozen: in eval mode and without gradient."""
        lr: PositiveFloat | None = None
        """BERT's own learning rate; by default the one of the recipe."""
        padding: Literal["none", "states"] = "none"
        """`states`: what BERT makes of [PAD] behind a sentence counts as frames, as in the published codes of MMSA and
        DMD; results then depend on how far a sentence is padded."""
        then: Then
        """The encoder that reads BERT's last hidden states as its features: `{name: ..., fields}`."""

        @field_validator("model")
        @classmethod
        def _anchored(cls, model: str | None) -> str | None:
            """A folder's absolute path, so that a run folder can be used from anywhere."""
            folder = Path(model).expanduser() if model is not None else None
            return str(folder.absolute()) if folder is not None and folder.is_dir() else model

        @model_validator(mode="after")
        def _one_source(self) -> "Bert.Config":
            if (self.model is None) == (self.architecture is None):
                raise ValueError("give either model (a folder or a name) or architecture (sizes), and not both")
            return self

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        if find_spec("transformers") is None:
            raise Untried("needs transformers: pip install 'mmsa-core[text]'")
        sizes = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 24, "vocabulary": 30}
        special = {"pad": 0, "unk": 1, "cls": 2, "sep": 3}
        return [Example({"architecture": sizes, "special": special, "then": {"name": "pooled"}}, vocabulary=30)]

    def __init__(self, config: Config, context: Context, modality: Modality) -> None:
        super().__init__(config, context, modality)
        self.who, self.trainable, self.rate = f"encoder 'bert' of '{modality}'", config.trainable, config.lr
        self.all_states = config.padding == "states"
        if context.channels[modality] != 3:
            raise UserError(
                f"{self.who} reads tokens (id, attention mask, segment id), and the data have features of width "
                f"{context.channels[modality]}; set data.tokens: true"
            )
        self.bert, self.special = build(config)
        sizes: Any = self.bert.config
        self.positions, self.hidden = sizes.max_position_embeddings, sizes.hidden_size
        below = torch.tensor([sizes.vocab_size, 2, sizes.type_vocab_size], dtype=torch.float32)
        self.register_buffer("below", below, persistent=False)
        self._check_length(context.lengths[modality])
        if max(self.special.model_dump().values()) >= sizes.vocab_size:
            raise UserError(
                f"{self.who}: special ids {self.special.model_dump()} do not fit a vocabulary of {sizes.vocab_size}; "
                "set `special`"
            )
        self.bert.requires_grad_(config.trainable)
        widths = {**context.channels, modality: self.hidden}
        then = registry.encoders.get(config.then.name)
        self.then: Encoder = then(config.then, replace(context, channels=widths), modality)
        self.fixed_length = self.all_states or self.then.fixed_length
        self.train()

    def length(self, time: int) -> int:
        return self.then.length(time)

    def own_rates(self) -> Sequence[tuple[nn.Module, float]]:
        own = ((self.bert, self.rate),) if self.rate is not None and self.trainable else ()
        return (*own, *self.then.own_rates())

    def train(self, mode: bool = True) -> "Bert":
        """Training or evaluation; a frozen BERT is always in the latter."""
        super().train(mode)
        self.bert.train(mode and self.trainable)
        return self

    def forward(self, features: Float[Tensor, "batch time 3"], observed: Bool[Tensor, "batch time"]) -> Encoded:
        self._check_length(time := features.shape[1])
        read = masked.fill(features, observed)
        self._check_ids(read)
        # transformers cannot tell the shape of nothing
        hidden = self._states(read, observed) if len(read) else self.below.new_zeros(0, time, self.hidden)
        there = observed.any(dim=1, keepdim=True).expand_as(observed) if self.all_states else observed
        encoded: Encoded = self.then(hidden, there)
        return encoded

    def _states(
        self, read: Float[Tensor, "batch time 3"], observed: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time hidden"]:
        """BERT's last hidden states."""
        time = read.shape[1]
        ids, attended = tokens.sentence(read[..., 0].long(), observed, self.special)
        width = min(time + 1, self.positions)
        found: Tensor = self.bert(
            input_ids=ids[:, :width],
            token_type_ids=F.pad(read[..., 2].long(), (0, 1))[:, :width],
            # Of four dimensions, since transformers drops a mask [batch, time] that hides nothing: one sample's
            # states would then depend, in the last bits, on the others.
            attention_mask=attended[:, None, None, :width].expand(-1, 1, width, -1),
        ).last_hidden_state
        return found[:, :time]

    def _check_length(self, time: int) -> None:
        if time > self.positions:
            raise UserError(
                f"{self.who} has positions for {self.positions} tokens, and the data have {time}; "
                "cut the sentences where the file was made"
            )

    def _check_ids(self, read: Float[Tensor, "batch time 3"]) -> None:
        """Refuse what is no token id before an embedding reads beyond its table (which would end a process on CUDA)."""
        wrong = (read != read.floor()) | (read < 0) | (read >= self.below)
        if wrong.any():
            found = read[wrong.any(dim=2)][0].tolist()
            raise UserError(
                f"{self.who} reads id, mask and segment id as whole numbers from 0 and below "
                f"{self.below.long().tolist()}, and found {found}; make the tokens with this model's vocabulary, and "
                "set data.tokens: true"
            )


def build(config: Bert.Config) -> tuple[nn.Module, Special]:
    """The BERT that a config asks for, and its special ids."""
    if config.architecture is None:
        folder = pretrained.find(str(config.model))
        return pretrained.load(folder), config.special or pretrained.special(folder)
    special, sizes = config.special or Special(), config.architecture
    bert = pretrained.fresh(
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.intermediate,
        vocab_size=sizes.vocabulary,
        pad_token_id=None,  # nothing attends to padding
    )
    return bert, special
