"""How predictions fall into classes that a confusion matrix can show, by the task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mmsa_core.corpora.corpus import LABEL
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.tasks import BinaryLabels, Classification, ScoreTask
from mmsa_core.tasks.base import Threshold

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""True and predicted class of the samples that have one."""
SIGN = ("negative", "positive")


@dataclass(frozen=True)
class Classes:
    """One way to divide predictions into classes: from logits, target and the threshold of validation."""

    title: str
    names: tuple[str, ...]
    of: Callable[[Tensor, Tensor, Threshold], Pairs]


def views(evaluated: Evaluated, names: Mapping[str, tuple[str, ...]]) -> list[Classes]:
    """The divisions that a task's metrics are about; `names` are the data's class names, where they have some."""
    task = evaluated.task
    if isinstance(task, ScoreTask):
        return _of_scores(task, any(isinstance(each.threshold, float) for each in evaluated.scores))
    if isinstance(task, BinaryLabels):
        return [Classes(name, ("no", "yes"), partial(_label, task, n)) for n, name in enumerate(task.names)]
    assert isinstance(task, Classification)
    known = names.get(LABEL, ())
    shown = known if len(known) == task.classes else tuple(map(str, range(task.classes)))
    return [Classes("classes", shown, partial(_class, task))]


def _of_scores(task: ScoreTask, tuned: bool) -> list[Classes]:
    found = [Classes("sign of the score", SIGN, partial(_sign, task, False))]
    if tuned:
        found.append(Classes("at the validation threshold", SIGN, partial(_sign, task, True)))
    if task.convention != "sims":
        found.append(
            Classes("score, rounded", tuple(f"{k:+d}" if k else "0" for k in range(-3, 4)), partial(_rounded, task))
        )
    return found


def _sign(task: ScoreTask, tuned: bool, logits: Tensor, target: Tensor, threshold: Threshold) -> Pairs:
    """As the two-class metrics have it: zero labels are left out (by SIMS they are negative)."""
    score, truth = task.score(logits).double().numpy(), target.numpy()
    kept = np.full(truth.shape, True) if task.convention == "sims" else truth != 0
    bound = threshold if tuned and isinstance(threshold, float) else 0.0
    return (truth[kept] > 0).astype(np.int64), (score[kept] > bound).astype(np.int64)


def _rounded(task: ScoreTask, logits: Tensor, target: Tensor, threshold: Threshold) -> Pairs:
    """As Acc-7 has it: clipped to +-3 and rounded half to even."""
    truth, score = (np.round(x.numpy().clip(-3, 3)).astype(np.int64) + 3 for x in (target, task.score(logits)))
    return truth, score


def _class(task: Classification, logits: Tensor, target: Tensor, threshold: Threshold) -> Pairs:
    return target.numpy(), logits.argmax(dim=1).numpy()


def _label(task: BinaryLabels, column: int, logits: Tensor, target: Tensor, threshold: Threshold) -> Pairs:
    return target[:, column].numpy(), task.responses(logits)[:, column].argmax(dim=1).numpy()
