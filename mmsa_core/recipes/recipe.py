"""The recipe: one experiment as a typed, frozen object. `recipe_file` reads it from YAML."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from torch import nn

from mmsa_core.closed import Closed
from mmsa_core.recipes.sections import Data, DistillerTerm, Masker, ModelSection, Train
from mmsa_core.recipes.teachers import NoTeacher, Teacher
from mmsa_core.tasks import Task


class Evaluate(Closed):
    """How a trained student is evaluated."""

    seed: int = 0
    """Seed of the protocols' masks: the same for every run, so that methods meet identical holes."""
    batch_size: PositiveInt = 256
    test: bool = True
    """False leaves the test split alone: training ends with validation, as the trials of a sweep do. Choose by
    validation first, then train the chosen recipe with its test."""


class Log(Closed):
    """What is written while training."""

    gradients_every: NonNegativeInt = 50
    """Every so many steps each term's gradient norm on the student is logged; 0 never."""


class Save(Closed):
    """When the state of a training is saved, so that it can go on; also at a stage's end, and when it is stopped."""

    steps: PositiveInt | None = None
    """After so many mini-batches of a stage."""
    minutes: PositiveFloat | None = 5
    """After so many minutes; None leaves it to `steps`."""


class Wandb(Closed):
    """Weights & Biases."""

    project: str = "mmsa"
    entity: str | None = None
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto`: as WANDB_MODE says, else online where an API key is configured, else offline."""
    group: str | None = None
    """Of the experiment's runs; by default the name of its folder."""
    tags: tuple[str, ...] = ()


class Track(Closed):
    """Where a run is logged besides its own metrics.jsonl."""

    wandb: Wandb | None = None


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"each seed once, found {', '.join(map(str, seeds))}")
    return seeds


LOGGED = ("task", "total", "loss", "weighted", "gradient", "hidden", "train", "valid")
"""Names that the log gives a meaning of their own."""


def term_label(label: str) -> str:
    """The name of a term, if it can be one."""
    if label in LOGGED or not label.isidentifier() or hasattr(nn.ModuleDict, label):
        raise ValueError(
            f"'{label}' cannot name a term; use letters, digits and _, and none of {', '.join(LOGGED)} "
            "or a method of torch's ModuleDict"
        )
    return label


class Recipe(Closed):
    """One experiment: every number that affects a result is in it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the default run folder and the group in W&B."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_distinct)] = (1111,)
    """One run for each."""
    threads: PositiveInt | None = 1
    """CPU threads of torch. Small networks gain little from more, and lose much on a busy machine; with a fixed
    number a run's sums do not depend on the machine's cores. null takes what torch finds."""
    deterministic: bool = False
    """Take torch's deterministic algorithms, so that runs on one CUDA device are the same to the last bit too; an
    operation that has none is an error. On a CPU runs are so in any case."""
    data: Data
    task: Task
    model: ModelSection
    teacher: Teacher = NoTeacher()
    masker: Masker | None = None
    """What the student sees in training and validation; None hides nothing."""
    distillers: dict[Annotated[str, AfterValidator(term_label)], DistillerTerm] = Field(default_factory=dict)
    """Loss terms beside the task's, by a name of your choice."""
    train: Train
    evaluate: Evaluate = Evaluate()
    log: Log = Log()
    save: Save = Save()
    track: Track = Track()

    def __repr__(self) -> str:
        """In one line; `recipe_file.dump` has all of it."""
        encoders = ", ".join(f"{m}: {config.name}" for m, config in self.model.encoders.items())
        terms = ", ".join(f"{label}: {config.name}" for label, config in self.distillers.items()) or "none"
        masker = self.masker.name if self.masker else "none"
        return (
            f"<Recipe {self.name}: data {self.data.name}; task {self.task.kind}; {encoders}; fusion "
            f"{self.model.fusion.name}; teacher {self.teacher.kind}; masker {masker}; terms {terms}; "
            f"seeds {', '.join(map(str, self.seeds))}>"
        )

    def __str__(self) -> str:
        return repr(self)
