"""Whom a student learns from: the kinds of teacher that a recipe may ask for."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
)

from mmsa_core.closed import Closed
from mmsa_core.recipes.sections import ModelSection, Train


class NoTeacher(Closed):
    """The student learns from the task alone (and from distillers that need no teacher: they see the student twice)."""

    kind: Literal["none"] = "none"


class SelfTeacher(Closed):
    """The student's own outputs of the same forward pass, for terms between its own parts."""

    kind: Literal["self"]


class Frozen(Closed):
    """A teacher that does not change while the student trains; it sees what the data have."""

    cache: bool = True
    """Compute each sample's outputs once and keep them; the numbers are the same without."""


class TrainedTeacher(Frozen):
    """Trained first, in the same command, on what the data have."""

    kind: Literal["trained"]
    validate_on: Literal["complete", "masked"] = "complete"
    """Whether its best epoch is picked on validation as it is, which is what the teacher sees, or under the masks."""
    require: Literal["any", "complete"] = "any"
    """`complete` trains it only on samples that have every modality."""
    model: ModelSection | None = None
    """Its network; by default the student's."""
    train: Train | None = None
    """Its training; by default the student's."""


class RunTeacher(Frozen):
    """The student of an earlier run, rebuilt from its folder."""

    kind: Literal["run"] = "run"
    run: Path
    """A run folder (of one seed, or of several: then the folder of the same seed is taken)."""


class EnsembleTeacher(Frozen):
    """The averaged class responses of several runs."""

    kind: Literal["ensemble"] = "ensemble"
    runs: Annotated[tuple[Path, ...], Field(min_length=1)]


class EmaTeacher(Closed):
    """A moving average of the student's weights that sees the complete sample (mean teacher)."""

    kind: Literal["ema"]
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.97
    """Share of the old average kept at each step."""


def _teacher_kind(data: Any) -> str | None:
    """`{run: ...}` and `{runs: [...]}` need no kind."""
    if not isinstance(data, dict):
        return getattr(data, "kind", None)
    shorthand = "run" if "run" in data else "ensemble" if "runs" in data else None
    found = data.get("kind", shorthand)
    return found if isinstance(found, str) else None


Teacher = Annotated[
    Annotated[NoTeacher, Tag("none")]
    | Annotated[SelfTeacher, Tag("self")]
    | Annotated[TrainedTeacher, Tag("trained")]
    | Annotated[RunTeacher, Tag("run")]
    | Annotated[EnsembleTeacher, Tag("ensemble")]
    | Annotated[EmaTeacher, Tag("ema")],
    Discriminator(
        _teacher_kind,
        custom_error_type="teacher_kind",
        custom_error_message="a teacher has kind: none, self, trained, run, ensemble or ema "
        "(or is written {run: FOLDER})",
    ),
]
