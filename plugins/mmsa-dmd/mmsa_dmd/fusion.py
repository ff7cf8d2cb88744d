"""DMD's network (Li et al., CVPR 2023, https://arxiv.org/abs/2303.13802) behind the projections.

Symbols: x_m = projected sequence, s_m = its private and c_m = its shared part, h_m = s_m after crossmodal
attention and memory, c = the shared parts after self-attention, side by side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.attention.crossmodal import Crossmodal, CrossmodalConfig, summary
from mmsa_core.attention.frames import Frames
from mmsa_core.components import Context, Fusion
from mmsa_core.example import Example
from mmsa_core.types import Encoded, Modality
from mmsa_dmd.decoupling import Decoupling, Parts
from mmsa_dmd.heads import Linears, ResidualHeads, by_modality, same_shape
from mmsa_dmd.outputs import Decoupled, Nodes
from mmsa_dmd.reading import Flatten, Pooled, Reading
from mmsa_dmd.stacked import Members, Stacked, joined


class DecoupledFusion(Fusion):
    r"""Private parts teach each other through crossmodal attention, shared parts are attended to alone.

    .. math:: z = [g_1(h_1); ...; g_M(h_M); g_c(c)], \qquad \hat y = \mathrm{ResidualHead}(z)

    `joint` is z [batch, modalities^2 * dim]. `variant: published` has g(h) = sigmoid(W h), as the code;
    `described` has g(h) = sigmoid(W h) * h, as the text.
    """

    gives: ClassVar[type[Decoupled]] = Decoupled
    mixed: ClassVar[bool] = False  # the gradient of its attention is written out, in one precision

    class Config(CrossmodalConfig):
        variant: Literal["published", "described"] = "published"
        """As the published code computes it, or as its description says: there the gates multiply what they gate."""
        reading: Literal["flatten", "pooled"] = "flatten"
        """How the heads of one modality's shared part read its sequence: all steps side by side (as published; the
        longest sequence of the data fixes the length), or their mean (any length)."""

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        any_length = {"layers": 1, "reading": "pooled", "hide": True, "variant": "described"}
        return [Example(config, 20, modalities=(2, 3, 4)) for config in ({"layers": 1}, any_length)]

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.modalities, dim, drop = tuple(context.channels), context.dim, config.output_dropout
        self.hide, self.multiplied = config.hide, config.variant == "described"
        self.crossmodal = Crossmodal(config, context, "fusion 'dmd.decoupled'", alone=True)
        self.decoupling = Decoupling(context)
        flat = config.reading == "flatten"
        self.fixed_length = flat or not config.hide
        self.read: dict[Modality, Reading] = {
            m: Flatten(m, context.lengths[m], dim) if flat else Pooled(dim) for m in self.modalities
        }
        self.groups = same_shape({m: read.wide for m, read in self.read.items()})
        wide = [(len(group), self.read[group[0]].wide) for group in self.groups]
        modalities, high, width = len(self.modalities), Crossmodal.width(context), context.task.width
        every = modalities * dim
        self.similarity = nn.ModuleList(Linears(n, w, dim) for n, w in wide)
        unread = wide if config.variant == "published" else []
        self.private_similarities = nn.ModuleList(Linears(n, w, dim) for n, w in unread)
        self.homogeneous = nn.ModuleList(ResidualHeads(n, w, dim, width, drop) for n, w in wide)
        self.heterogeneous = ResidualHeads(modalities, high, high, width, drop)
        self.gates, self.shared_gate = Linears(modalities, high, high), Linears(1, every, every)
        self.shared_head = ResidualHeads(1, every, every, width, drop)
        joint = modalities * high + every
        self.head = ResidualHeads(1, joint, joint, width, drop)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Decoupled:
        encoded = {m: self.read[m].fitted(encoded[m]) for m in self.modalities}
        parts = self.decoupling(encoded)
        low, similarity = self._homogeneous(encoded, parts.shared)
        memory, attended = self.crossmodal(*self._frames(encoded, parts))
        h, c = (summary(x, encoded, self.hide) for x in (memory, attended))
        c = c.transpose(0, 1).flatten(1).unsqueeze(0)
        logits, _, state = self.heterogeneous(h)
        joint = torch.cat([*self._gate(self.gates, h).unbind(0), self._gate(self.shared_gate, c).squeeze(0)], dim=1)
        return Decoupled(
            encoded=encoded,
            joint=joint,
            logits=self.head(joint.unsqueeze(0))[0].squeeze(0),
            present=torch.stack([encoded[m].present for m in self.modalities], dim=1),
            private=parts.private,
            shared=parts.shared,
            reconstruction=parts.reconstruction,
            private_again=parts.private_again,
            memory=Stacked(self.modalities, {self.modalities: h.transpose(0, 1)}),
            similarity=similarity,
            homogeneous=low,
            heterogeneous=Nodes(self.modalities, logits.transpose(0, 1), state.transpose(0, 1)),
            shared_logits=self.shared_head(c)[0].squeeze(0),
        )

    def _homogeneous(self, encoded: Mapping[Modality, Encoded], shared: Stacked) -> tuple[Nodes, Stacked]:
        """The nodes of the shared parts, and the vectors of the margin loss."""
        logits, r, similarity = {}, {}, {}
        for group, heads, project in zip(self.groups, self.homogeneous, self.similarity, strict=True):
            x = self._read(group, encoded, shared)
            logits[group], r[group], _ = heads(x)
            similarity[group] = project(x)
        f, r_all, s = (joined(self.modalities, part) for part in (logits, r, similarity))
        return Nodes(self.modalities, f, r_all), Stacked(self.modalities, {self.modalities: s})

    def _frames(self, encoded: Mapping[Modality, Encoded], parts: Parts) -> list[Frames] | list[list[Frames]]:
        """Private and shared parts as sequences: stacked where all have one length."""
        both, real = (parts.private, parts.shared), [of.observed for of in encoded.values()]
        if self.modalities in parts.private.parts:
            whole = torch.stack(real)
            return [Frames(x.parts[self.modalities].transpose(0, 1), whole) for x in both]
        return [[Frames(x[m], r) for m, r in zip(x, real, strict=True)] for x in both]

    def _read(
        self, group: Members, encoded: Mapping[Modality, Encoded], x: Stacked
    ) -> Float[Tensor, "members batch wide"]:
        """What the heads of a group read."""
        read = self.read[group[0]]
        if isinstance(read, Flatten) and group in x.parts:
            return x.parts[group].transpose(0, 1).flatten(2)
        return torch.stack([self.read[m](x[m], encoded[m].observed) for m in group])

    def private_similarity(self, outputs: Decoupled) -> dict[Modality, Float[Tensor, "batch dim"]]:
        """One vector of each private part, which the published network computes too and no loss reads."""
        assert isinstance(outputs.private, Stacked)
        found: dict[Modality, Tensor] = {}
        for group, project in zip(self.groups, self.private_similarities, strict=True):
            found |= by_modality(group, project(self._read(group, outputs.encoded, outputs.private)))
        return found

    def _gate(self, gate: nn.Module, h: Float[Tensor, "stack batch wide"]) -> Float[Tensor, "stack batch wide"]:
        share: Tensor = torch.sigmoid(gate(h))
        return share * h if self.multiplied else share
