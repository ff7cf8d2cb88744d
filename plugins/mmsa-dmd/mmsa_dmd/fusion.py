"""DMD's network (Li et al., CVPR 2023, https://arxiv.org/abs/2303.13802) behind the projections.

Symbols: x_m = projected sequence, s_m = its private and c_m = its shared part, h_m = s_m after crossmodal
attention and memory, c = the shared parts after self-attention, side by side.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmsa_core.attention.crossmodal import Crossmodal, CrossmodalConfig, frames, summary
from mmsa_core.components import Context, Fusion
from mmsa_core.types import Encoded, Modality
from mmsa_dmd.decoupling import Decoupling
from mmsa_dmd.heads import Linears, ResidualHeads, by_modality, same_shape
from mmsa_dmd.outputs import Decoupled, Node
from mmsa_dmd.reading import Flatten, Pooled, Reading


class DecoupledFusion(Fusion):
    r"""Private parts teach each other through crossmodal attention, shared parts are attended to alone.

    .. math:: z = [g_1(h_1); ...; g_M(h_M); g_c(c)], \qquad \hat y = \mathrm{ResidualHead}(z)

    `joint` is z [batch, modalities^2 * dim]. `variant: published` has g(h) = sigmoid(W h), as the code;
    `described` has g(h) = sigmoid(W h) * h, as the text.
    """

    gives: ClassVar[type[Decoupled]] = Decoupled

    class Config(CrossmodalConfig):
        variant: Literal["published", "described"] = "published"
        """As the published code computes it, or as its description says: there the gates multiply what they gate."""
        reading: Literal["flatten", "pooled"] = "flatten"
        """How the heads of one modality's shared part read its sequence: all steps side by side (as published; the
        longest sequence of the data fixes the length), or their mean (any length)."""

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
        self.private_similarity = nn.ModuleList(Linears(n, w, dim) for n, w in unread)
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
        private = {m: frames(encoded[m], x) for m, x in parts.private.items()}
        memory, attended = self.crossmodal(private, {m: frames(encoded[m], x) for m, x in parts.shared.items()})
        h = torch.stack([summary(x, encoded[m], self.hide) for m, x in memory.items()])
        c = torch.cat([summary(x, encoded[m], self.hide) for m, x in attended.items()], dim=1).unsqueeze(0)
        logits, _, state = self.heterogeneous(h)
        gated = [*self._gate(self.gates, h).unbind(0), *self._gate(self.shared_gate, c)]
        joint = torch.cat(gated, dim=1)
        return Decoupled(
            encoded=encoded,
            joint=joint,
            logits=self.head(joint.unsqueeze(0))[0].squeeze(0),
            present=torch.stack([encoded[m].present for m in self.modalities], dim=1),
            private=parts.private,
            shared=parts.shared,
            reconstruction=parts.reconstruction,
            private_again=parts.private_again,
            memory=by_modality(self.modalities, h),
            similarity=similarity,
            homogeneous=low,
            heterogeneous=self._nodes(self.modalities, logits, state),
            shared_logits=self.shared_head(c)[0].squeeze(0),
            private_similarity=self._unread(encoded, parts.private),
        )

    def _homogeneous(
        self, encoded: Mapping[Modality, Encoded], shared: Mapping[Modality, Tensor]
    ) -> tuple[dict[Modality, Node], dict[Modality, Tensor]]:
        """The nodes of the shared parts, and the vectors of the margin loss, in the recipe's order."""
        nodes: dict[Modality, Node] = {}
        similarity: dict[Modality, Tensor] = {}
        for group, heads, project in zip(self.groups, self.homogeneous, self.similarity, strict=True):
            x = torch.stack([self.read[m](shared[m], encoded[m].observed) for m in group])
            logits, r, _ = heads(x)
            nodes |= self._nodes(group, logits, r)
            similarity |= by_modality(group, project(x))
        return {m: nodes[m] for m in self.modalities}, {m: similarity[m] for m in self.modalities}

    def _unread(
        self, encoded: Mapping[Modality, Encoded], private: Mapping[Modality, Tensor]
    ) -> dict[Modality, Tensor]:
        """What the published network computes and no loss reads; in training it is left out."""
        found: dict[Modality, Tensor] = {}
        if not self.training:
            for group, project in zip(self.groups, self.private_similarity, strict=False):
                x = torch.stack([self.read[m](private[m], encoded[m].observed) for m in group])
                found |= by_modality(group, project(x))
        return found

    @staticmethod
    def _nodes(members: tuple[Modality, ...], logits: Tensor, representation: Tensor) -> dict[Modality, Node]:
        return {m: Node(f, r) for m, f, r in zip(members, logits.unbind(0), representation.unbind(0), strict=True)}

    def _gate(self, gate: nn.Module, h: Float[Tensor, "stack batch wide"]) -> Float[Tensor, "stack batch wide"]:
        share: Tensor = torch.sigmoid(gate(h))
        return share * h if self.multiplied else share
