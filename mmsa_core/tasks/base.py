"""What every task answers: width of the head, task loss, categories of a target, metrics.

A prediction is a tensor of logits [batch, width]. Terms that compare class responses see it as
`groups` independent distributions over `class_count` classes: one group for a single label, one group
of two classes for each of several binary labels.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from mmsa_core import metrics
from mmsa_core.closed import Closed
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Split
from mmsa_core.errors import UserError
from mmsa_core.evaluation.measures import values
from mmsa_core.statistics.counted import Array

RANDOM_DRAWS = 20
Threshold = float | list[float | None] | None
"""Between negative and positive: of a score, of each of several labels, or none."""
IGNORE = -100
"""The category of a target that belongs to no class (a zero score between two bins)."""


class TaskBase(Closed):
    """What every task answers."""

    needs: ClassVar[str]
    """The target of a split that the task learns from."""
    headline: ClassVar[tuple[str, ...]]
    """The metrics that tables show first."""

    @property
    def calibrated_headline(self) -> tuple[str, ...]:
        """The metrics that tables show where each stands beside that of calibrated answers."""
        return self.headline

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of the logits."""

    @property
    @abstractmethod
    def class_count(self) -> int:
        """Classes of each group."""

    @property
    def groups(self) -> int:
        """Independent class distributions in one prediction."""
        return 1

    @abstractmethod
    def check(self, split: Split, where: str) -> None:
        """Refuse targets that are absent, not finite or out of range."""

    def target(self, split: Split) -> Tensor:
        """What it learns from of each sample."""
        return split.targets[self.needs]

    @abstractmethod
    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        """The mean task loss over the samples that have a category; zero without one."""

    @abstractmethod
    def each(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, " batch"]:
        """The task loss of each sample; zero where it has no category."""

    @abstractmethod
    def categories(self, target: Tensor) -> Int64[Tensor, "batch groups"]:
        """The class of each sample in each group, or `IGNORE`."""

    def responses(self, logits: Float[Tensor, "batch width"]) -> Float[Tensor, "batch groups classes"]:
        """The logits of each class distribution."""
        return logits.view(-1, self.groups, self.class_count)

    def threshold(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Threshold:
        """What divides negative from positive best on these samples; None where a prediction has no such thing."""
        return None

    @abstractmethod
    def measures(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: Threshold = None
    ) -> metrics.Measures:
        """The field's metrics, each with the arrays that it is of, so that it can be resampled.

        With a threshold (chosen on validation) those that depend on it are added under the suffix `_tuned`.
        """

    def metrics(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: Threshold = None
    ) -> dict[str, float | None]:
        """The values of `measures`; None where one is undefined."""
        return values(self.measures(logits, target, threshold))

    def beside(self, metric: str) -> tuple[str, ...]:
        """What stands beside a metric that a threshold moves: the AUC of the same scores, then the positive rate."""
        return ()

    @abstractmethod
    def columns(self, logits: Float[Tensor, "batch width"]) -> dict[str, Tensor]:
        """What a person reads of a prediction: a column per name, a value per sample."""

    def prediction(self, logits: Float[Tensor, "batch width"]) -> dict[str, list[float]]:
        """The same as numbers of Python."""
        return {name: array(column).tolist() for name, column in self.columns(logits).items()}

    @abstractmethod
    def guess(self, train: Tensor, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Targets that predictors which look at no sample would answer, by the predictor's name."""

    @abstractmethod
    def guessed(self, guess: Tensor, target: Tensor) -> dict[str, float | None]:
        """The metrics of such answers."""

    def references(self, train: Tensor, target: Tensor) -> dict[str, dict[str, float | None]]:
        """Metrics of constant predictors and of one that draws training targets at random (mean of 20 draws)."""
        rng = np.random.default_rng(0)
        draws = [self.guess(train.cpu(), len(target), rng) for _ in range(RANDOM_DRAWS)]
        found = {name: self.guessed(guess, target) for name, guess in draws[0].items() if name != "random"}
        random = [self.guessed(draw["random"], target) for draw in draws]
        columns = {name: [each[name] for each in random] for name in random[0]}
        mean = {name: None if None in column else float(np.mean(column)) for name, column in columns.items()}  # type: ignore[arg-type]
        return found | {"random": mean}


def cross_entropy(logits: Float[Tensor, "batch classes"], category: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the samples that have a category; zero if none has."""
    total = F.cross_entropy(logits, category, ignore_index=IGNORE, reduction="sum")
    return total / (category != IGNORE).sum().clamp(min=1)


def array(values: Tensor) -> Array:
    """What the metrics take."""
    found: Array = values.detach().cpu().numpy()
    return found


def absent(task: TaskBase, needed: str, split: Split, where: str) -> UserError:
    remedies = {
        SCORE: "task={kind: bins, classes: 7}",
        LABEL: "task={kind: classification, classes: K}",
        LABELS: "task={kind: binary_labels, names: [...]}",
    }
    for name, targets in split.targets.items():
        kind, slash, _ = name.partition("/")
        remedy = remedies[kind] if kind != LABEL else remedies[LABEL].replace("K", str(int(targets.max()) + 1))
        remedies[name] = remedy.replace("}", f", source: {name}}}") if slash else remedy
    fitting = " or ".join(f"--set '{remedies[name]}'" for name in split.targets)
    return UserError(
        f"{where}: task '{getattr(task, 'kind', '')}' learns from '{needed}', but the data have "
        + (f"{', '.join(split.targets)}; use {fitting}" if fitting else "no targets; training needs some")
    )
