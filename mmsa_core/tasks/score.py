"""Tasks whose target is a sentiment score: regression, and classification of the score in bins."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import PositiveFloat, model_validator
from torch import Tensor

from mmsa_core import metrics
from mmsa_core.corpora.corpus import SCORE, Split
from mmsa_core.errors import UserError
from mmsa_core.tasks.base import IGNORE, TaskBase, Threshold, absent, array, cross_entropy


class ScoreTask(TaskBase):
    """A task whose target is a sentiment score."""

    needs: ClassVar[str] = SCORE

    range: PositiveFloat = 3.0
    """Scores lie in [-range, range]: 3 for MOSI and MOSEI, 1 for SIMS."""
    convention: Literal["mosi", "mosei", "sims"] = "mosi"
    """Whose metrics: MOSI's and MOSEI's are the same, SIMS has bins of its own."""
    source: str | None = None
    """Which target of the data it learns from where they have several, such as `score/text`, which annotators gave from
    the text alone (CH-SIMS); null: that of the whole sample."""

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        """F1 never stands alone: AUC and the predicted-positive rate are beside it."""
        first = ("f1", "auc_non0") if self.convention == "sims" else ("f1_non0", "auc_non0")
        return (*first, "positive_rate", "mae", "corr")

    def check(self, split: Split, where: str) -> None:
        score = split.targets.get(SCORE)
        if score is None:
            raise absent(self, SCORE, split, where)
        bad = ~torch.isfinite(score) | (score.abs() > self.range + 1e-6)
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            remedy = "Mend the file or leave these samples out."
            if torch.isfinite(score).all():
                remedy = "Say the file's own range, for example --set data.score_range='[1,5]', or set task.range."
            raise UserError(
                f"{where}: {int(bad.sum())} of {len(score)} scores are not finite or beyond "
                f"[-{self.range:g}, {self.range:g}], the first is {score[row].item():g} of sample '{split.ids[row]}' "
                f"(row {row}). {remedy}"
            )

    def beside(self, metric: str) -> tuple[str, ...]:
        plain = metric.removesuffix("_tuned")
        if plain not in metrics.THRESHOLDED or plain == "positive_rate":
            return ()
        return ("auc_non0", f"positive_rate{metric.removeprefix(plain)}")

    @abstractmethod
    def score(self, logits: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
        """The sentiment score that a prediction stands for."""

    def threshold(self, logits: Float[Tensor, "batch width"], target: Tensor) -> float | None:
        return metrics.best_threshold(array(self.score(logits)), array(target), self.convention)

    def measures(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: Threshold = None
    ) -> metrics.Measures:
        score, label = array(self.score(logits)), array(target)
        found = metrics.sentiment_measures(score, label, self.convention)
        if isinstance(threshold, float):
            tuned = metrics.sentiment_measures(score, label, self.convention, threshold)
            found |= {f"{name}_tuned": tuned[name] for name in tuned if name in metrics.THRESHOLDED}
        return found

    def columns(self, logits: Float[Tensor, "batch width"]) -> dict[str, Tensor]:
        return {"prediction": self.score(logits)}

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
        return metrics.sentiment(array(guess), array(target), self.convention)


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
        return self._loss(logits[:, 0], target, reduction="mean") if len(target) else logits.sum()

    def each(self, logits: Float[Tensor, "batch 1"], target: Tensor) -> Float[Tensor, " batch"]:
        return self._loss(logits[:, 0], target, reduction="none")

    @property
    def _loss(self) -> Callable[..., Tensor]:
        losses: dict[str, Callable[..., Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss, "huber": F.huber_loss}
        return losses[self.loss]

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

    def each(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, " batch"]:
        return F.cross_entropy(logits, self.categories(target)[:, 0], ignore_index=IGNORE, reduction="none")

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
