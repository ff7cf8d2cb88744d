"""Masked answers on validation, with what a calibration is fitted on: cells, clips, margins."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core.calibration.margins import margins, positive
from mmsa_core.evaluation.scores import Answers
from mmsa_core.tasks import Classification, TaskBase

EDGES = (0.1, 0.3, 0.5, 0.7)
"""Where one bucket of the missing share ends and the next begins."""


def buckets(share: Float[Tensor, " samples"]) -> Int64[Tensor, " samples"]:
    """Which bucket each missing share lies in; one on an edge is in the bucket that begins there."""
    return torch.bucketize(share, share.new_tensor(EDGES), right=True)


@dataclass(frozen=True)
class Evidence:
    """Answers, a row each; several rows may be about one clip, seen through other masks."""

    task: TaskBase
    logits: Float[Tensor, "rows width"]
    target: Tensor
    clip: Int64[Tensor, " rows"]
    """Which sample a row is about."""
    subset: Int64[Tensor, " rows"]
    bucket: Int64[Tensor, " rows"]
    margin: Float[Tensor, "rows decisions"] | None
    """None where the answer is one of several classes."""

    @classmethod
    def of(cls, task: TaskBase, answers: Answers, target: Tensor, clip: Int64[Tensor, " rows"]) -> "Evidence":
        """The evidence in some answers."""
        margin = None if isinstance(task, Classification) else margins(task, answers.logits)
        return cls(task, answers.logits, target, clip, answers.subset, buckets(answers.share), margin)

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def clips(self) -> int:
        """How many samples the rows are about."""
        return len(set(self.clip.tolist()))

    def rows(self, keep: Bool[Tensor, " rows"]) -> "Evidence":
        """Some of the rows."""
        parts = (self.logits, self.target, self.clip, self.subset, self.bucket)
        logits, target, clip, subset, bucket = (part[keep] for part in parts)
        margin = None if self.margin is None else self.margin[keep]
        return Evidence(self.task, logits, target, clip, subset, bucket, margin)

    def at(self, temperature: float) -> "Evidence":
        """What the answers are at another temperature."""
        if temperature == 1.0:
            return self
        logits = self.logits.double() / temperature
        margin = None if self.margin is None else margins(self.task, logits)
        return Evidence(self.task, logits, self.target, self.clip, self.subset, self.bucket, margin)

    def decided(self) -> list[tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]]:
        """For each decision the margins of the rows that metrics look at, and which of them are positive."""
        assert self.margin is not None
        sign, counted = positive(self.task, self.target)
        return [(self.margin[counted, i], sign[counted, i]) for i in range(self.margin.shape[1])]
