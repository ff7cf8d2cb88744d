"""Graph distillation of DMD (Li et al., CVPR 2023, section 3.2): modalities teach each other along learned edges.

Symbols: i = student, j = teacher, an ordered pair i <- j for every two modalities; z_m = what is known of
node m; e_ij = learned edge, p_ij = prior; w_ij = e_ij + p_ij; f = logits, r = representation of a node.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.errors import UserError
from mmsa_core.example import Example
from mmsa_core.types import Batch, Modality, Outputs
from mmsa_dmd.cosine import unit
from mmsa_dmd.outputs import Decoupled, Nodes, nodes_of

Metric = Literal["l1", "l2", "cosine"]
Pair = tuple[Modality, Modality]


def distance(
    student: Float[Tensor, "*pairs width"], teacher: Float[Tensor, "*pairs width"], metric: Metric
) -> Float[Tensor, "*pairs"]:
    """Sum of absolute or squared differences, or 1 - cosine; the teacher learns nothing from it."""
    teacher = teacher.detach()
    if metric == "cosine":
        return 1 - F.cosine_similarity(student, teacher, dim=-1, eps=max(1e-8, torch.finfo(student.dtype).tiny))
    difference = student - teacher
    return (difference.abs() if metric == "l1" else difference.square()).sum(dim=-1)


def overlap(r: Float[Tensor, "batch nodes wide"]) -> Float[Tensor, "batch students teachers"]:
    """The positive part of the cosine of every two nodes; the teacher learns nothing from it."""
    direction = unit(r, dim=2)
    return torch.bmm(direction, direction.detach().mT).relu()


def softmax(x: Float[Tensor, "batch *pair"], counted: Bool[Tensor, "batch *pair"]) -> Float[Tensor, "batch *pair"]:
    """Over the pairs that a sample has; the others have nothing, or, where a sample has no pair, no meaning."""
    # The lowest number instead of -inf: a sample without any pair stays finite.
    low = x.masked_fill(~counted, torch.finfo(x.dtype).min)
    return low.flatten(1).softmax(dim=1).view(x.shape)


class GraphDistillation(Distiller):
    r"""Every modality imitates every other one, weighted by an edge that is learned for each sample.

    .. math:: z_m = [W_f f_m; W_r r_m], \quad e = \mathrm{softmax}_{ij}(\alpha\, W_e [z_i; z_j]), \quad
              L = E[w\,d(f_i, f_j)] \lambda_f + R\,\lambda_r + \gamma \sum_{ij} (E[e_{ij}] - p_{ij})^2

    p is the softmax of the priors divided by their temperature. R is the repulsion of representations for
    heterogeneous nodes and, for homogeneous ones, nothing: the published code computes their distance and
    leaves it out of the sum. `variant: described` counts E[w d(r_i, r_j)] for both. Edges carry a gradient,
    teachers do not. Departures: any number of modalities and classes; a pair of which one is missing in a
    sample has no edge there (the softmax is over the others) and does not count.
    """

    reads: ClassVar[type[Outputs]] = Decoupled
    needs_teacher: ClassVar[bool] = False
    representations: ClassVar[bool] = False

    class Config(DistillerConfig):
        nodes: Literal["homogeneous", "heterogeneous"]
        """Which graph: shared parts, or private parts reinforced by the other modalities."""
        variant: Literal["published", "described"] = "published"
        """What becomes of the representations (see `mmsa show dmd.graph`)."""
        hidden: PositiveInt | None = None
        """Width of W_f and W_r; by default 64 for homogeneous nodes and 32 for heterogeneous ones, as published."""
        priors: dict[str, float] = Field(default_factory=dict)
        """Prior of named pairs, `student<-teacher: value` (`audio<-text: 1`); 0 for all others."""
        prior_temperature: PositiveFloat = 0.25
        """The priors are divided by it before their softmax."""
        alpha: PositiveFloat = 0.125
        """Factor of the edges before their softmax (1 / temperature)."""
        metric: Metric = "l1"
        """Distance of logits, and of representations where they are imitated."""
        logit_weight: NonNegativeFloat = 1.0
        """Factor of the imitation of logits."""
        representation_weight: NonNegativeFloat = 10.0
        """Factor of the term on representations."""
        regularization: NonNegativeFloat = 10.0
        """Factor of the squared difference of mean edges and priors."""

    prior: Tensor
    others: Tensor

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        nodes, variants = ("homogeneous", "heterogeneous"), ("published", "described")
        configs = [{"nodes": node, "variant": variant} for node in nodes for variant in variants]
        return [Example(config, modalities=(2, 3, 4)) for config in configs]

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config, self.modalities = config, tuple(context.channels)
        if len(self.modalities) < 2:
            raise UserError("dmd.graph: model.encoders names one modality, and a graph needs two or more")
        self.register_buffer("prior", prior(config, self.modalities), persistent=False)
        others = ~torch.eye(len(self.modalities), dtype=torch.bool)
        self.register_buffer("others", others, persistent=False)
        high = config.nodes == "heterogeneous"
        self.counts_representations = high or config.variant == "described"
        hidden = config.hidden or (32 if high else 64)
        self.on_logits = nn.Linear(context.task.width, hidden)
        self.on_representation = nn.Linear(context.dim * (len(self.modalities) - 1 if high else 1), hidden)
        self.on_edge = nn.Linear(4 * hidden, 1)

    def forward(self, student: Decoupled, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        nodes, counted = self._nodes(student)
        # what each sample counts in a pair's mean: a sum weighted by it is the mean over the samples that have both
        share = counted / counted.sum(dim=0).clamp(min=1)
        edge = softmax(self.scores(nodes), counted) * share
        found, weight = edge.sum(dim=0), torch.addcmul(edge, self.prior, share)
        expected = self.prior if len(counted) else found  # no sample has a mean edge to hold to a prior
        regularization = F.mse_loss(found, expected, reduction="sum") * self.config.regularization
        logit = (self._distances(nodes.logits) * weight).sum() * self.config.logit_weight
        parts = {"regularization": regularization, "logit": logit}
        if self.counts_representations or not self.training:  # what does not count is measured in evaluation only
            representation = self._representations(nodes.representation, weight, share)
            parts["representation"] = representation * self.config.representation_weight
        self._log(found, **parts)
        total = regularization + logit
        return total + parts["representation"] if self.counts_representations else total

    def edges(self, student: Decoupled, teacher: Outputs, batch: Batch) -> dict[Pair, Float[Tensor, " batch"]]:
        """The learned edge e_ij of each pair in each sample, without the prior; NaN where one of the two is missing."""
        nodes, counted = self._nodes(student)
        edge = softmax(self.scores(nodes), counted).masked_fill(~counted, torch.nan)
        names = self.modalities
        return {(i, j): edge[:, a, b] for a, i in enumerate(names) for b, j in enumerate(names) if a != b}

    def scores(self, nodes: Nodes) -> Float[Tensor, "batch students teachers"]:
        r""":math:`\alpha W_e [z_i; z_j]` of every pair, as the sum of what each end says, half of the bias each."""
        f, r = nodes.logits, nodes.representation
        z = torch.cat([self.on_logits(f.flatten(0, 1)), self.on_representation(r.flatten(0, 1))], dim=1)
        weight, alpha = self.on_edge.weight.view(2, -1).mT, self.config.alpha
        ends = torch.addmm(self.on_edge.bias, z, weight, beta=alpha / 2, alpha=alpha).view(*f.shape[:2], 2)
        return ends[:, :, :1] + ends[:, :, 1:].mT

    def _distances(self, x: Float[Tensor, "batch nodes wide"]) -> Float[Tensor, "batch students teachers"]:
        return distance(x.unsqueeze(2), x.unsqueeze(1), self.config.metric)

    def _representations(self, r: Tensor, weight: Tensor, share: Tensor) -> Float[Tensor, ""]:
        """The imitation of representations, or their repulsion."""
        if self.config.variant == "published" and self.config.nodes == "heterogeneous":
            # the weights act through their mean over the batch alone
            return ((overlap(r) * share).sum(dim=0) * weight.sum(dim=0)).sum()
        return (self._distances(r) * weight).sum()

    def _nodes(self, outputs: Decoupled) -> tuple[Nodes, Bool[Tensor, "batch students teachers"]]:
        """Logits, representations, and which pairs a sample has."""
        present = outputs.present
        counted = present.unsqueeze(2) & present.unsqueeze(1) & self.others
        return nodes_of(getattr(outputs, self.config.nodes), self.modalities), counted

    def _log(self, edges: Float[Tensor, "students teachers"], **values: Tensor) -> None:
        """The parts of the loss, and the mean edge of each pair."""
        size = len(self.modalities)
        for n, value in enumerate(edges.detach().flatten().unbind(0)):
            if n // size != n % size:
                values[f"{self.modalities[n // size]}<-{self.modalities[n % size]}"] = value
        self.observe(**values)


def prior(config: "GraphDistillation.Config", modalities: Sequence[Modality]) -> Float[Tensor, "students teachers"]:
    """The named priors as shares: softmax over the pairs of the values divided by their temperature."""
    values = torch.zeros(len(modalities), len(modalities)).fill_diagonal_(-torch.inf)
    known = {f"{i}<-{j}": (a, b) for a, i in enumerate(modalities) for b, j in enumerate(modalities) if a != b}
    for name, value in config.priors.items():
        at = known.get(name.replace(" ", ""))
        if at is None:
            raise UserError(
                f"dmd.graph: priors names '{name}', which is no pair student<-teacher of this model's modalities; "
                f"pairs: {', '.join(known)}"
            )
        values[at] = value
    return (values / config.prior_temperature).flatten().softmax(dim=0).view(values.shape)
