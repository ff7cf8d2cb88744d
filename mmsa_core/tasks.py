"""What is predicted: width of the head, task loss, categories of a target, metrics.

A prediction is a tensor of logits [batch, width]. Terms that compare class responses see it as
`groups` independent distributions over `classes` classes: one group for a single label, one group
of two classes for each of several binary labels.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from mmsa_core import metrics
from mmsa_core.closed import Closed
from mmsa_core.corpus import LABEL, LABELS, SCORE, Split
from mmsa_core.errors import UserError

RANDOM_DRAWS = 20
IGNORE = -100
"""The category of a target that belongs to no class (a zero score between two bins)."""


class TaskBase(Closed):
    """What every task answers."""

    needs: ClassVar[str]
    """The target of a split that the task learns from."""
    headline: ClassVar[tuple[str, ...]]
    """The metrics that tables show first."""

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

    @abstractmethod
    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        """The mean task loss over the samples that have a category."""

    @abstractmethod
    def categories(self, target: Tensor) -> Int64[Tensor, "batch groups"]:
        """The class of each sample in each group, or `IGNORE`."""

    def responses(self, logits: Float[Tensor, "batch width"]) -> Float[Tensor, "batch groups classes"]:
        """The logits of each class distribution."""
        return logits.view(len(logits), self.groups, self.class_count)

    def score(self, logits: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"] | None:
        """The sentiment score that a prediction stands for, if it stands for one."""
        return None

    def threshold(self, logits: Float[Tensor, "batch width"], target: Tensor) -> float | None:
        """The threshold between negative and positive scores that is best on these samples."""
        return None

    @abstractmethod
    def metrics(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: float | None = None
    ) -> dict[str, float | None]:
        """The field's metrics; None where one is undefined.

        With a threshold (chosen on validation) those that depend on it are added under the suffix `_tuned`.
        """

    @abstractmethod
    def prediction(self, logits: Float[Tensor, "batch width"]) -> dict[str, list[float]]:
        """What a person reads of a prediction: a column per name, a value per sample."""

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
        columns = {name: [values[name] for values in random] for name in random[0]}
        mean = {name: None if None in column else float(np.mean(column)) for name, column in columns.items()}  # type: ignore[arg-type]
        return found | {"random": mean}


class ScoreTask(TaskBase):
    """A task whose target is a sentiment score."""

    needs: ClassVar[str] = SCORE

    range: PositiveFloat = 3.0
    """Scores lie in [-range, range]: 3 for MOSI and MOSEI, 1 for SIMS."""
    convention: Literal["mosi", "mosei", "sims"] = "mosi"
    """Whose metrics: MOSI's and MOSEI's are the same, SIMS has bins of its own."""

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        """F1 never stands alone: AUC and the predicted-positive rate are beside it."""
        first = ("f1", "auc_non0") if self.convention == "sims" else ("f1_non0", "auc_non0")
        return (*first, "positive_rate", "mae", "corr")

    def check(self, split: Split, where: str) -> None:
        score = split.targets.get(SCORE)
        if score is None:
            raise _absent(self, SCORE, split, where)
        bad = ~torch.isfinite(score) | (score.abs() > self.range + 1e-6)
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise UserError(
                f"{where}: {int(bad.sum())} of {len(score)} scores are not finite or beyond "
                f"[-{self.range:g}, {self.range:g}], the first is {score[row].item():g} of sample '{split.ids[row]}' "
                f"(row {row}). Say the file's own range, for example --set data.score_range='[1,5]', or set task.range."
            )

    def threshold(self, logits: Float[Tensor, "batch width"], target: Tensor) -> float | None:
        return metrics.best_threshold(_array(self.score(logits)), _array(target), self.convention)

    def metrics(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: float | None = None
    ) -> dict[str, float | None]:
        score, label = _array(self.score(logits)), _array(target)
        found = metrics.sentiment(score, label, self.convention)
        if threshold is not None:
            tuned = metrics.sentiment(score, label, self.convention, threshold)
            found |= {f"{name}_tuned": tuned[name] for name in tuned if name in metrics.THRESHOLDED}
        return found

    def prediction(self, logits: Float[Tensor, "batch width"]) -> dict[str, list[float]]:
        return {"prediction": _array(self.score(logits)).tolist()}

    def guess(self, train: Tensor, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The training median; the medians of its negative and positive scores; scores drawn at random."""
        negative, positive = train[train < 0], train[train > 0]
        constants = {
            "constant": train.median(),
            "all negative": negative.median() if len(negative) else train.new_tensor(-1.0),
            "all positive": positive.median() if len(positive) else train.new_tensor(1.0),
        }
        drawn = train[torch.from_numpy(rng.integers(len(train), size=n))]
        return {name: value.expand(n) for name, value in constants.items()} | {"random": drawn}

    def guessed(self, guess: Tensor, target: Tensor) -> dict[str, float | None]:
        return metrics.sentiment(_array(guess), _array(target), self.convention)


class Regression(ScoreTask):
    """Sentiment intensity. Its categories, for terms that need some, are negative, zero and positive."""

    kind: Literal["regression"] = "regression"
    loss: Literal["l1", "mse", "huber"] = "l1"
    """l1 is usual for MOSI and MOSEI."""

    @property
    def width(self) -> int:
        return 1

    @property
    def class_count(self) -> int:
        return 3

    def objective(self, logits: Float[Tensor, "batch 1"], target: Tensor) -> Float[Tensor, ""]:
        if self.loss == "huber":
            return F.huber_loss(logits[:, 0], target)
        return F.l1_loss(logits[:, 0], target) if self.loss == "l1" else F.mse_loss(logits[:, 0], target)

    def categories(self, target: Float[Tensor, " batch"]) -> Int64[Tensor, "batch 1"]:
        return target.sign().long().unsqueeze(1) + 1

    def score(self, logits: Float[Tensor, "batch 1"]) -> Float[Tensor, " batch"]:
        return logits[:, 0]


class Bins(ScoreTask):
    """Classification by binning a sentiment score; the expected bin value is the predicted score.

    With the MOSI convention 7 and 5 classes are the score clipped and rounded (half to even), 3 are
    negative, zero, positive, and 2 are negative, positive (a zero score has no class). With SIMS 5
    classes divide at +-0.7 and +-0.1, 3 at +-0.1, 2 at 0, closed on the right.
    """

    kind: Literal["bins"] = "bins"
    classes: Literal[2, 3, 5, 7] = 7
    """Number of bins K. The CorrKD paper does not state it; our default."""
    values: tuple[float, ...] | None = None
    """Score that each bin stands for; by default the bin's centre."""

    @model_validator(mode="after")
    def _consistent(self) -> "Bins":
        if self.convention == "sims" and self.classes == 7:
            raise ValueError("SIMS has no 7 bins; choose classes: 2, 3 or 5")
        if self.values is not None and len(self.values) != self.classes:
            raise ValueError(f"{self.classes} bins need {self.classes} values, found {len(self.values)}")
        return self

    @property
    def width(self) -> int:
        return self.classes

    @property
    def class_count(self) -> int:
        return self.classes

    @property
    def centres(self) -> tuple[float, ...]:
        """The score that each bin stands for."""
        if self.values is not None:
            return self.values
        r = self.range
        if self.convention == "sims":
            five = (-0.85 * r, -0.4 * r, 0.0, 0.4 * r, 0.85 * r)
            return {2: (-0.5 * r, 0.5 * r), 3: (-0.55 * r, 0.0, 0.55 * r), 5: five}[self.classes]
        if self.classes < 5:
            return (-0.5 * r, 0.5 * r) if self.classes == 2 else (-0.5 * r, 0.0, 0.5 * r)
        top = self.classes // 2
        return tuple(float(k) * r / 3 for k in range(-top, top + 1))

    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        return cross_entropy(logits, self.categories(target)[:, 0])

    def categories(self, target: Float[Tensor, " batch"]) -> Int64[Tensor, "batch 1"]:
        if self.convention == "sims":
            edges = {2: [0.0], 3: [-0.1, 0.1], 5: [-0.7, -0.1, 0.1, 0.7]}[self.classes]
            return torch.bucketize(target, target.new_tensor(edges) * self.range).unsqueeze(1)
        sign = target.sign().long()
        if self.classes == 2:
            return torch.where(sign == 0, IGNORE, (sign + 1) // 2).unsqueeze(1)
        if self.classes == 3:
            return (sign + 1).unsqueeze(1)
        top = self.classes // 2
        return ((target * 3 / self.range).clamp(-top, top).round().long() + top).unsqueeze(1)

    def score(self, logits: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
        return (logits.softmax(dim=1) * logits.new_tensor(self.centres)).sum(dim=1)  # row by row: equal rows stay equal


class Classification(TaskBase):
    """One label out of several classes."""

    needs: ClassVar[str] = LABEL
    headline: ClassVar[tuple[str, ...]] = ("f1", "auc", "acc", "f1_macro")

    kind: Literal["classification"] = "classification"
    classes: Annotated[int, Field(ge=2)]
    """Number of classes."""
    sentiment: bool = False
    """The three classes are negative, neutral, positive in this order: adds the field's two-class metrics."""

    @model_validator(mode="after")
    def _consistent(self) -> "Classification":
        if self.sentiment and self.classes != 3:
            raise ValueError("sentiment: true means 3 classes: negative, neutral, positive")
        return self

    @property
    def width(self) -> int:
        return self.classes

    @property
    def class_count(self) -> int:
        return self.classes

    def check(self, split: Split, where: str) -> None:
        label = split.targets.get(LABEL)
        if label is None:
            raise _absent(self, LABEL, split, where)
        bad = (label < 0) | (label >= self.classes)
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise UserError(
                f"{where}: {int(bad.sum())} of {len(label)} labels are outside 0..{self.classes - 1}, the first is "
                f"{label[row].item()} of sample '{split.ids[row]}' (row {row}). Set task.classes to the data's number."
            )

    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        return cross_entropy(logits, target)

    def categories(self, target: Int64[Tensor, " batch"]) -> Int64[Tensor, "batch 1"]:
        return target.unsqueeze(1)

    def metrics(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: float | None = None
    ) -> dict[str, float | None]:
        found = metrics.classes(_array(logits.softmax(dim=1)), _array(target))
        if self.sentiment:
            found |= metrics.sentiment_classes(_array(logits), _array(target))
        return found

    def prediction(self, logits: Float[Tensor, "batch width"]) -> dict[str, list[float]]:
        probability, label = logits.softmax(dim=1).max(dim=1)
        return {"prediction": _array(label).tolist(), "probability": _array(probability).tolist()}

    def guess(self, train: Tensor, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The most frequent training label; labels drawn at random."""
        drawn = train[torch.from_numpy(rng.integers(len(train), size=n))]
        return {"constant": train.mode().values.expand(n), "random": drawn}

    def guessed(self, guess: Tensor, target: Tensor) -> dict[str, float | None]:
        return self.metrics(30.0 * F.one_hot(guess, self.classes), target)


class BinaryLabels(TaskBase):
    """Several binary labels at once, such as IEMOCAP's four emotions: two logits for each, as MulT has them."""

    needs: ClassVar[str] = LABELS

    kind: Literal["binary_labels"] = "binary_labels"
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the labels, in the order of the file's columns."""

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        """F1 and AUC of each label."""
        return tuple(f"{name}_{metric}" for name in self.names for metric in ("f1", "auc"))

    @property
    def width(self) -> int:
        return 2 * len(self.names)

    @property
    def class_count(self) -> int:
        return 2

    @property
    def groups(self) -> int:
        return len(self.names)

    def check(self, split: Split, where: str) -> None:
        labels = split.targets.get(LABELS)
        if labels is None:
            raise _absent(self, LABELS, split, where)
        if labels.shape[1] != len(self.names):
            raise UserError(
                f"{where}: {labels.shape[1]} binary labels, but task.names lists {len(self.names)}: "
                f"{', '.join(self.names)}. Name every column of the file, in its order."
            )
        if ((labels != 0) & (labels != 1)).any():
            raise UserError(f"{where}: binary labels other than 0 and 1")

    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        return F.cross_entropy(self.responses(logits).flatten(0, 1), target.flatten())

    def categories(self, target: Int64[Tensor, "batch labels"]) -> Int64[Tensor, "batch labels"]:
        return target

    def metrics(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: float | None = None
    ) -> dict[str, float | None]:
        return metrics.binary_labels(_array(self.responses(logits)), _array(target), self.names)

    def prediction(self, logits: Float[Tensor, "batch width"]) -> dict[str, list[float]]:
        """The probability of each label."""
        probability = self.responses(logits).softmax(dim=2)[:, :, 1]
        return {name: _array(probability[:, i]).tolist() for i, name in enumerate(self.names)}

    def guess(self, train: Tensor, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The most frequent value of each label in training; rows drawn at random."""
        drawn = train[torch.from_numpy(rng.integers(len(train), size=n))]
        return {"constant": train.mode(dim=0).values.expand(n, -1), "random": drawn}

    def guessed(self, guess: Tensor, target: Tensor) -> dict[str, float | None]:
        return self.metrics(30.0 * F.one_hot(guess, 2).flatten(1), target)


Task = Annotated[Regression | Bins | Classification | BinaryLabels, Field(discriminator="kind")]


def cross_entropy(logits: Float[Tensor, "batch classes"], category: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the samples that have a category; zero if none has."""
    total = F.cross_entropy(logits, category, ignore_index=IGNORE, reduction="sum")
    return total / (category != IGNORE).sum().clamp(min=1)


def _array(values: Tensor | None) -> "metrics.Array":
    assert values is not None
    array: metrics.Array = values.detach().cpu().numpy()
    return array


def _absent(task: TaskBase, needed: str, split: Split, where: str) -> UserError:
    has = ", ".join(split.targets) or "none"
    return UserError(
        f"{where}: task '{getattr(task, 'kind', '')}' learns from '{needed}', but the data have {has}. "
        f"Set task.kind: regression or bins for score, classification for label, binary_labels for labels."
    )
