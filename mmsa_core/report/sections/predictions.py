"""Predictions against truth, for tasks with a score."""

from functools import partial

import numpy as np

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.report.blocks import Picture, Section, Text
from mmsa_core.report.drawing.scatter import Points, scatter
from mmsa_core.report.material import Material
from mmsa_core.tasks import ScoreTask


def section(material: Material) -> Section | None:
    """A panel for each run: complete input, the mean prediction of its seeds."""
    whole = next((tested for tested in material.tested if tested.complete is not None), None)
    if whole is None:
        return None
    found: dict[str, Points] = {}
    extent = 0.0
    for run, evaluated in whole.found.items():
        condition = whole.wholes[run]
        if isinstance(evaluated.task, ScoreTask) and condition is not None:
            found[run] = points(evaluated, evaluated.task, condition)
            extent = max(extent, evaluated.task.range)
    if not found:
        return None
    picture = Picture(
        "predictions",
        "Predicted against true score on complete input; each point is a sample, the mean over the run's seeds. On the "
        "dashed line a prediction is right.",
        f"Scatter plots, one for each of {', '.join(found)}; correlations and errors are in the main table.",
        partial(scatter, found, extent),
    )
    return Section(
        "Predictions", (Text("A cloud that is flatter than the dashed line shrinks towards the mean."), picture)
    )


def points(evaluated: Evaluated, task: ScoreTask, condition: str) -> Points:
    """Truth, and the mean of the seeds' predicted scores, of the samples that count."""
    first = evaluated.scores[0]
    rows = first.rows[condition]
    scores = [task.score(each.answers[condition].logits[rows]).double().numpy() for each in evaluated.scores]
    return first.target[rows].double().numpy(), np.mean(scores, axis=0)
