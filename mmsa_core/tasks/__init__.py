"""What is predicted. Tasks are a closed set: a benchmark's metrics are its definition."""

from typing import Annotated

from pydantic import Field

from mmsa_core.tasks.base import IGNORE, TaskBase, cross_entropy
from mmsa_core.tasks.label import BinaryLabels, Classification
from mmsa_core.tasks.none import NoTask
from mmsa_core.tasks.score import Bins, Regression, ScoreTask

__all__ = [
    "IGNORE",
    "BinaryLabels",
    "Bins",
    "Classification",
    "NoTask",
    "Regression",
    "ScoreTask",
    "Task",
    "TaskBase",
    "cross_entropy",
]

Task = Annotated[Regression | Bins | Classification | BinaryLabels | NoTask, Field(discriminator="kind")]
