"""Margin loss of DMD (Li et al., CVPR 2023, arXiv 2303.13802), as the published code has it.

Symbols: x = items, one for each modality of each sample; y = label of the item's sample; c_ij = cosine
of two items; alpha_in = margin; P(i), N(i) = the other items with an equal and with another label.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import NonNegativeFloat
from torch import Tensor

from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.types import Batch, Outputs
from mmsa_dmd.cosine import unit
from mmsa_dmd.outputs import Disentangled
from mmsa_dmd.stacked import together


def margin_loss(
    x: Float[Tensor, "items dim"],
    gap: Float[Tensor, "items items"],
    scale: float,
    counted: Bool[Tensor, " items"] | None = None,
) -> Float[Tensor, ""]:
    r"""Hold items with equal labels closer than others, by a margin that grows with the label gap.

    .. math:: L = \frac1{|A|} \sum_{i \in A} \frac1{|P(i)||N(i)|} \sum_{p \in P(i)} \sum_{n \in N(i)}
              \max(0, \alpha_{in} - c_{ip} + c_{in}), \qquad \alpha_{in} = \mathrm{scale} \cdot |y_i - y_n|

    A holds the anchors that have both positives and negatives; zero if none has. Items that are not
    `counted` are left out altogether.
    """
    direction = unit(x, dim=1, floor=1e-8)  # as published
    cosine = direction @ direction.T
    high = cosine + scale * gap
    with torch.no_grad():
        active = _active(cosine, high, *_pairs(gap, counted))
    return (high * active).sum()  # of positives, gap is 0


def _pairs(
    gap: Float[Tensor, "items items"], counted: Bool[Tensor, " items"] | None
) -> tuple[Bool[Tensor, "items items"], Bool[Tensor, "items items"]]:
    """P(i) and N(i) as the rows of two masks."""
    others = torch.ones_like(gap, dtype=torch.bool).fill_diagonal_(False)
    if counted is not None:
        others &= counted.unsqueeze(0) & counted.unsqueeze(1)
    equal = gap == 0
    return others & equal, others & ~equal


def _active(
    low: Float[Tensor, "items items"],
    high: Float[Tensor, "items items"],
    positive: Bool[Tensor, "items items"],
    negative: Bool[Tensor, "items items"],
) -> Float[Tensor, "items items"]:
    r"""How often each cosine counts in the loss: c_in in every active term with n, c_ip less in every one with p.

    A term max(0, high_n - low_p) is active where low_p < high_n. Without a table of all triples: with the rows
    sorted, the number of terms in which an entry is active is found by bisection; the loss is linear in the entries.
    """
    sorted_low = low.masked_fill(~positive, torch.inf).sort(dim=1).values
    sorted_high = high.masked_fill(~negative, torch.inf).sort(dim=1).values
    positives, negatives = positive.sum(dim=1, keepdim=True), negative.sum(dim=1, keepdim=True)
    below = torch.searchsorted(sorted_low, high)  # positives p with low_p < high_n
    above = negatives - torch.searchsorted(sorted_high, low, right=True)  # negatives n with high_n > low_p
    terms = positives * negatives
    anchors = (terms > 0).sum().clamp(min=1)
    return (below * negative - above * positive) / (terms.clamp(min=1) * anchors)


def label_gap(y: Float[Tensor, " items"] | Int64[Tensor, "items ..."]) -> Float[Tensor, "items items"]:
    """Measure how far the labels of each two items are apart: the difference of scores, or, where the
    labels are classes and their numbers mean nothing, how many of them differ.
    """
    if y.is_floating_point():
        return (y.unsqueeze(0) - y.unsqueeze(1)).abs()
    y = y.flatten(1) if y.ndim > 1 else y.unsqueeze(1)
    return (y.unsqueeze(0) != y.unsqueeze(1)).sum(dim=2).float()


class MarginLoss(Distiller):
    """The margin loss over one vector per modality of the student; a modality that a sample lacks is no item.

    The vector is `similarity` of the shared part where the fusion takes features apart (as published),
    else the pooled modality.

    Departures from the published code: any modalities instead of text, vision and audio, and class
    labels as well as scores. The teacher is not read.
    """

    needs_teacher: ClassVar[bool] = False
    representations: ClassVar[bool] = False
    targets: ClassVar[bool] = True

    class Config(DistillerConfig):
        scale: NonNegativeFloat = 0.15
        """Margin per unit of label difference; 0.15 in the published code."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.scale = config.scale

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Float[Tensor, ""]:
        if isinstance(student, Disentangled):
            x, present = together(student.similarity), student.present
        else:
            x = torch.stack([of.pooled for of in student.encoded.values()], dim=1)
            present = torch.stack([of.present for of in student.encoded.values()], dim=1)
        y = torch.cat([batch.target] * x.shape[1])
        return margin_loss(x.transpose(0, 1).flatten(0, 1), label_gap(y), self.scale, present.T.flatten())
