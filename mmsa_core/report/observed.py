"""What was seen of each sample under a condition, and how wrong the answer was."""

import numpy as np
from numpy.typing import NDArray

from mmsa_core.evaluation.availability import subset
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.evaluation.scores import Scores
from mmsa_core.tasks import ScoreTask

EDGES = (0.0, 0.25, 0.5, 0.75)
"""Where shares of holes are divided; the first bucket is no hole at all."""
NOTHING = "nothing"
Errors = NDArray[np.float64]


def error_name(evaluated: Evaluated) -> str:
    """What is counted as error."""
    return "absolute error of the score" if isinstance(evaluated.task, ScoreTask) else "share of wrong predictions"


def errors(evaluated: Evaluated, scores: Scores, condition: str) -> Errors:
    """The error of each sample under one condition; of several labels, the share of them that is wrong."""
    logits, target, task = scores.answers[condition].logits, scores.target, evaluated.task
    if isinstance(task, ScoreTask):
        found: Errors = (task.score(logits) - target).abs().double().numpy()
        return found
    predicted = task.responses(logits).argmax(dim=2)
    return (predicted != task.categories(target)).double().mean(dim=1).numpy()


def groups(evaluated: Evaluated, scores: Scores, condition: str, by: str) -> list[str]:
    """What was seen of each sample: the modalities, or how large a share of their frames are holes."""
    answers = scores.answers[condition]
    if by == "subset":
        return [subset(code, evaluated.modalities) or NOTHING for code in answers.subset.tolist()]
    return [
        NOTHING if code == 0 else bucket(share)
        for code, share in zip(answers.subset.tolist(), answers.share.tolist(), strict=True)
    ]


def bucket(share: float) -> str:
    """`none`, or the quarter in which a share of holes lies; a quarter is closed on the right."""
    if share == 0:
        return "no holes"
    low = max(edge for edge in EDGES if edge < share)
    return f"{low:.0%} to {low + 0.25:.0%}".replace("%", " %")
