"""Tasks whose target is a label, or several binary labels at once."""

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from mmsa_core import metrics
from mmsa_core.corpora.corpus import LABEL, LABELS, Split
from mmsa_core.errors import UserError
from mmsa_core.tasks.base import IGNORE, TaskBase, Threshold, absent, array, cross_entropy


class Classification(TaskBase):
    """One label out of several classes."""

    needs: ClassVar[str] = LABEL
    headline: ClassVar[tuple[str, ...]] = ("f1", "auc", "acc", "f1_macro")

    kind: Literal["classification"] = "classification"
    classes: Annotated[int, Field(ge=2)]
    """Number of classes."""
    sentiment: bool = False
    """The three classes are negative, neutral, positive in this order: adds the field's two-class metrics."""
    source: str | None = None
    """Which target of the data it learns from where they have several, such as `label/text`, which annotators gave from
    the text alone (CH-SIMS); null: that of the whole sample."""

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
            raise absent(self, LABEL, split, where)
        bad = (label < 0) | (label >= self.classes)
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise UserError(
                f"{where}: {int(bad.sum())} of {len(label)} labels are outside 0..{self.classes - 1}, the first is "
                f"{label[row].item()} of sample '{split.ids[row]}' (row {row}). Set task.classes to the data's number."
            )

    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        return cross_entropy(logits, target)

    def each(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, " batch"]:
        return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")

    def categories(self, target: Int64[Tensor, " batch"]) -> Int64[Tensor, "batch 1"]:
        return target.unsqueeze(1)

    def measures(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: Threshold = None
    ) -> metrics.Measures:
        found = metrics.classes_measures(array(logits.softmax(dim=1)), array(target))
        if self.sentiment:
            found |= metrics.sentiment_classes_measures(array(logits), array(target))
        return found

    def beside(self, metric: str) -> tuple[str, ...]:
        if metric in ("acc", "f1", "f1_macro"):
            return ("auc",)
        return ("auc_non0", "positive_rate") if metric.startswith(("acc2_", "f1_")) else ()

    def columns(self, logits: Float[Tensor, "batch width"]) -> dict[str, Tensor]:
        probability, label = logits.softmax(dim=1).max(dim=1)
        return {"prediction": label, "probability": probability}

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
    """Names of the labels: of all columns, in the file's order, or of those wanted where the data name their labels."""

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        """Of each label: F1, beside it AUC and the share of positive predictions."""
        return tuple(f"{name}_{metric}" for name in self.names for metric in ("f1", "auc", "positive_rate"))

    @property
    def calibrated_headline(self) -> tuple[str, ...]:
        """The means, and the F1 of each label: a table of all of them twice would not fit a page."""
        return ("f1_mean", "auc_mean", *(f"{name}_f1" for name in self.names))

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
            raise absent(self, LABELS, split, where)
        if labels.shape[1] != len(self.names):
            raise UserError(
                f"{where}: {labels.shape[1]} binary labels, but task.names lists {len(self.names)}: "
                f"{', '.join(self.names)}. Name every column of the file, in its order."
            )
        if ((labels != 0) & (labels != 1)).any():
            raise UserError(f"{where}: binary labels other than 0 and 1")

    def objective(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, ""]:
        return F.cross_entropy(self.responses(logits).flatten(0, 1), target.flatten()) if len(target) else logits.sum()

    def each(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Float[Tensor, " batch"]:
        found = F.cross_entropy(self.responses(logits).flatten(0, 1), target.flatten(), reduction="none")
        return found.view(target.shape).mean(dim=1)

    def categories(self, target: Int64[Tensor, "batch labels"]) -> Int64[Tensor, "batch labels"]:
        return target

    def measures(
        self, logits: Float[Tensor, "batch width"], target: Tensor, threshold: Threshold = None
    ) -> metrics.Measures:
        responses = self.responses(logits)
        found = metrics.binary_labels_measures(array(responses), array(target), self.names)
        if isinstance(threshold, list):
            by = responses.new_tensor([value or 0.0 for value in threshold])
            moved = torch.stack([responses[:, :, 0] + by, responses[:, :, 1]], dim=2)
            tuned = metrics.binary_labels_measures(array(moved), array(target), self.names)
            kinds = ("_acc", "_f1", "_positive_rate", "acc_mean", "f1_mean")
            found |= {f"{name}_tuned": measure for name, measure in tuned.items() if name.endswith(kinds)}
        return found

    def threshold(self, logits: Float[Tensor, "batch width"], target: Tensor) -> Threshold:
        """For each label, of the difference of its two logits; None for a label that has one value only."""
        responses = self.responses(logits)
        margin, sign = responses[:, :, 1] - responses[:, :, 0], 2 * target - 1
        columns = range(len(self.names))
        return [metrics.best_threshold(array(margin[:, i]), array(sign[:, i]), "mosi") for i in columns]

    def beside(self, metric: str) -> tuple[str, ...]:
        plain = metric.removesuffix("_tuned")
        name, tuned = plain.rpartition("_")[0], metric.removeprefix(plain)
        if plain in ("acc_mean", "f1_mean"):
            return ("auc_mean",)
        return (f"{name}_auc", f"{name}_positive_rate{tuned}") if plain.endswith(("_acc", "_f1")) else ()

    def columns(self, logits: Float[Tensor, "batch width"]) -> dict[str, Tensor]:
        """The probability of each label."""
        probability = self.responses(logits).softmax(dim=2)[:, :, 1]
        return {name: probability[:, i] for i, name in enumerate(self.names)}

    def guess(self, train: Tensor, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The most frequent value of each label in training; rows drawn at random."""
        drawn = train[torch.from_numpy(rng.integers(len(train), size=n))]
        return {"constant": train.mode(dim=0).values.expand(n, -1), "random": drawn}

    def guessed(self, guess: Tensor, target: Tensor) -> dict[str, float | None]:
        return self.metrics(30.0 * F.one_hot(guess, 2).flatten(1), target)
