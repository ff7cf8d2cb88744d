"""Learning without labels: the loss terms alone train the network, for a model that starts from its weights."""

from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mmsa_core import metrics
from mmsa_core.corpora.corpus import Split
from mmsa_core.tasks.base import IGNORE, TaskBase, Threshold


class NoTask(TaskBase):
    """No targets, no predictions, no metrics; what is validated is the weighted sum of the loss terms."""

    needs: ClassVar[str] = ""
    headline: ClassVar[tuple[str, ...]] = ("loss",)

    kind: Literal["none"] = "none"

    @property
    def width(self) -> int:
        return 1

    @property
    def class_count(self) -> int:
        return 1

    def check(self, split: Split, where: str) -> None:
        """Whatever targets a split has, they are not looked at."""

    def target(self, split: Split) -> Tensor:
        """Zeros."""
        return torch.zeros(len(split), device=split.device)

    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        return logits.new_zeros(())

    def each(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, " batch"]:
        return logits.new_zeros(len(logits))

    def categories(self, target: Tensor) -> Int64[Tensor, "batch 1"]:
        return torch.full((len(target), 1), IGNORE, device=target.device)

    def measures(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: Threshold = None
    ) -> metrics.Measures:
        return {}

    def columns(self, logits: Float[Tensor, "batch width"]) -> dict[str, Tensor]:
        return {}

    def guess(self, train: Tensor, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        return {}

    def guessed(self, guess: Tensor, target: Tensor) -> dict[str, float | None]:
        return {}
