"""What decides which epoch is kept: loss and metrics on the validation split, under the recipe's masks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from mmsa_core import metrics
from mmsa_core.components import Masker
from mmsa_core.corpora.batching import batches, lengths_of
from mmsa_core.corpora.corpus import Split
from mmsa_core.evaluation.asking import predict
from mmsa_core.missing import Draw, derive
from mmsa_core.recipes.sections import Train
from mmsa_core.tasks import NoTask, TaskBase
from mmsa_core.training.teacher import Teacher
from mmsa_core.training.terms import Terms, mean_loss


@dataclass(frozen=True)
class Validation:
    """How a stage is validated."""

    stage: str
    task: TaskBase
    train: Train
    seed: int
    masker: Masker | None
    teacher: Teacher | None
    terms: Terms

    def __call__(self, network: nn.Module, valid: Split) -> dict[str, float | None]:
        """Loss and metrics, averaged over the draws of the masks."""
        draws = range(self.train.valid_draws if self.masker else 1)
        return metrics.average([self._measure(network, valid, Draw("valid", self.seed, n)) for n in draws])

    def _measure(self, network: nn.Module, valid: Split, draw: Draw) -> dict[str, float | None]:
        """Task loss and metrics for one draw; without a task the weighted sum of the terms."""
        if isinstance(self.task, NoTask):
            unseen = batches(valid, self.task, self.train.batch_size, lengths=lengths_of(valid, network))
            seed = derive(self.seed, self.stage, "validation", draw.epoch)
            return {"loss": mean_loss(network, self.teacher, self.terms, unseen, draw, self.masker, seed)}
        logits, target = predict(network, valid, self.task, [draw], self.masker)
        return {"loss": self.task.objective(logits, target).item(), **self.task.metrics(logits, target)}

    def criterion(self, found: Mapping[str, float | None]) -> float:
        """What is minimised: losses and errors as they are, other metrics negated; undefined is worst."""
        name = self.train.select
        value = found[name]
        if value is None or math.isnan(value):
            return math.inf
        return value if name in ("loss", "mae") else -value
