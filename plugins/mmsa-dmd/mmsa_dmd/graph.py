"""Graph distillation of DMD (Li et al., CVPR 2023, section 3.2): modalities teach each other along learned edges.

Symbols: i = student, j = teacher, an ordered pair i <- j for every two modalities; z_m = what is known of
node m; e_ij = learned edge, p_ij = prior; w_ij = e_ij + p_ij; f = logits, r = representation of a node.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.errors import UserError
from mmsa_core.types import Batch, Modality, Outputs
from mmsa_dmd.outputs import Decoupled, Node

Metric = Literal["l1", "l2", "cosine"]
Pair = tuple[Modality, Modality]


def distance(
    student: Float[Tensor, "*pairs width"], teacher: Float[Tensor, "*pairs width"], metric: Metric
) -> Float[Tensor, "*pairs"]:
    """Sum of absolute or squared differences, or 1 - cosine; the teacher learns nothing from it."""
    teacher = teacher.detach()
    if metric == "cosine":
        return 1 - F.cosine_similarity(student, teacher, dim=-1)
    difference = student - teacher
    return (difference.abs() if metric == "l1" else difference.square()).sum(dim=-1)


def repulsion(
    student: Float[Tensor, "*pairs width"], teacher: Float[Tensor, "*pairs width"]
) -> Float[Tensor, "*pairs"]:
    """The positive part of the cosine, as torch's CosineEmbeddingLoss has it (1e-12 under the roots)."""
    teacher = teacher.detach()
    size = ((student.square().sum(dim=-1) + 1e-12) * (teacher.square().sum(dim=-1) + 1e-12)).sqrt()
    return ((student * teacher).sum(dim=-1) / size).clamp(min=0)


def mean(
    x: Float[Tensor, "batch students teachers"], counted: Bool[Tensor, "batch students teachers"]
) -> Float[Tensor, "students teachers"]:
    """Mean over the samples that have both; zero where none has."""
    return x.masked_fill(~counted, 0.0).sum(dim=0) / counted.sum(dim=0).clamp(min=1)


def shares(
    x: Float[Tensor, "batch students teachers"], counted: Bool[Tensor, "batch students teachers"]
) -> Float[Tensor, "batch students teachers"]:
    """Softmax over the pairs that a sample has; zero for the others."""
    # The lowest number instead of -inf: a sample without any pair stays finite.
    low = x.masked_fill(~counted, torch.finfo(x.dtype).min).flatten(1)
    return low.softmax(dim=1).view(x.shape).masked_fill(~counted, 0.0)


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

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config, self.modalities = config, tuple(context.channels)
        if len(self.modalities) < 2:
            raise UserError("dmd.graph: model.encoders names one modality, and a graph needs two or more")
        self.register_buffer("prior", prior(config, self.modalities), persistent=False)
        others = ~torch.eye(len(self.modalities), dtype=torch.bool)
        self.register_buffer("others", others, persistent=False)
        high = config.nodes == "heterogeneous"
        hidden = config.hidden or (32 if high else 64)
        self.on_logits = nn.Linear(context.task.width, hidden)
        self.on_representation = nn.Linear(context.dim * (len(self.modalities) - 1 if high else 1), hidden)
        self.on_edge = nn.Linear(4 * hidden, 1)

    def forward(self, student: Decoupled, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        f, r, counted = self._nodes(student)
        edge = shares(self.config.alpha * self.scores(f, r), counted)
        weight, found = edge + self.prior, mean(edge, counted)
        regularization = self.config.regularization * (found - self.prior).square().sum()
        ends = ((x.unsqueeze(2), x.unsqueeze(1)) for x in (f, r))  # student i, teacher j
        (f_i, f_j), (r_i, r_j) = ends
        logit = self.config.logit_weight * mean(distance(f_i, f_j, self.config.metric) * weight, counted).sum()
        if self.config.variant == "published" and self.config.nodes == "heterogeneous":
            # the weights act through their mean over the batch alone
            apart = (mean(repulsion(r_i, r_j), counted) * mean(weight, counted)).sum()
        else:
            apart = mean(distance(r_i, r_j, self.config.metric) * weight, counted).sum()
        representation = self.config.representation_weight * apart
        self._log(found, regularization=regularization, logit=logit, representation=representation)
        if self.config.variant == "published" and self.config.nodes == "homogeneous":
            return regularization + logit
        return regularization + logit + representation

    def edges(self, student: Decoupled, teacher: Outputs, batch: Batch) -> dict[Pair, Float[Tensor, " batch"]]:
        """The learned edge e_ij of each pair in each sample, without the prior; NaN where one of the two is missing."""
        f, r, counted = self._nodes(student)
        edge = shares(self.config.alpha * self.scores(f, r), counted).masked_fill(~counted, torch.nan)
        names = self.modalities
        return {(i, j): edge[:, a, b] for a, i in enumerate(names) for b, j in enumerate(names) if a != b}

    def scores(
        self, f: Float[Tensor, "batch nodes width"], r: Float[Tensor, "batch nodes wide"]
    ) -> Float[Tensor, "batch students teachers"]:
        """W_e [z_i; z_j] of every pair, as the sum of what each end says."""
        z = torch.cat([self.on_logits(f), self.on_representation(r)], dim=2)
        ends = z @ self.on_edge.weight.view(2, -1).mT
        found: Tensor = ends[:, :, :1] + ends[:, :, 1:].mT + self.on_edge.bias
        return found

    def _nodes(self, outputs: Decoupled) -> tuple[Tensor, Tensor, Bool[Tensor, "batch students teachers"]]:
        """Logits, representations, and which pairs a sample has."""
        nodes: Mapping[Modality, Node] = getattr(outputs, self.config.nodes)
        present = torch.stack([outputs.encoded[m].present for m in self.modalities], dim=1)
        f = torch.stack([nodes[m].logits for m in self.modalities], dim=1)
        r = torch.stack([nodes[m].representation for m in self.modalities], dim=1)
        return f, r, present.unsqueeze(2) & present.unsqueeze(1) & self.others

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
