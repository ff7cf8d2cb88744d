"""The recipe: one experiment as a typed, frozen object. `recipe_file` reads it from YAML."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
)
from pydantic_core import CoreSchema, core_schema
from torch import nn

from mmsa_core import registry
from mmsa_core.closed import Closed
from mmsa_core.components import ComponentConfig, DatasetConfig, DistillerConfig, OptimizerConfig
from mmsa_core.errors import UserError
from mmsa_core.tasks import Task


@dataclass(frozen=True)
class Named:
    """A component written as `{name: ..., fields}`: validated by the Config of the class it names."""

    registry: registry.Registry[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(lambda config: config.model_dump(mode="json"))
        return core_schema.no_info_plain_validator_function(self.registry.config, serialization=dump)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """One alternative for each installed component; those that do not import are left out."""
        alternatives = []
        for name in self.registry:
            try:
                config = self.registry.described(name)
            except UserError:
                continue
            found = dict(handler.resolve_ref_schema(handler(config.__pydantic_core_schema__)))
            found["properties"] = found.get("properties", {}) | {"name": {"const": name}}
            found["required"] = ["name", *(key for key in found.get("required", []) if key != "name")]
            alternatives.append(found)
        return {"oneOf": alternatives}


Encoder = Annotated[ComponentConfig, Named(registry.encoders)]
Fusion = Annotated[ComponentConfig, Named(registry.fusions)]
DistillerTerm = Annotated[DistillerConfig, Named(registry.distillers)]
Masker = Annotated[ComponentConfig, Named(registry.maskers)]
Data = Annotated[DatasetConfig, Named(registry.datasets)]


def _modality(name: str) -> str:
    if not name.isidentifier() or hasattr(nn.ModuleDict, name):
        raise ValueError(
            f"'{name}' cannot name a modality; use letters, digits and _, and no method of torch's ModuleDict"
        )
    return name


class Init(Closed):
    """Where a network's first weights come from, instead of its seed."""

    run: Path
    """A run folder whose student's weights are taken where name and shape match (of one seed, or of several: then the
    folder of the same seed is taken). Statistics that standardise the data are not taken."""


class ModelSection(Closed):
    """The network: an encoder per modality, then a fusion."""

    dim: PositiveInt = 40
    """Width of a modality's representation (the CorrKD paper's d = 40)."""
    encoders: Annotated[dict[Annotated[str, AfterValidator(_modality)], Encoder], Field(min_length=1)]
    """Modality to encoder; modalities of the data that are not named here are not read."""
    fusion: Fusion
    init: Init | None = None
    """None draws all weights from the seed."""


class Train(OptimizerConfig):
    """How a network is trained and picked."""

    epochs: PositiveInt
    batch_size: PositiveInt
    accumulate: PositiveInt = 1
    """Mini-batches whose gradients are summed (not averaged, as in DMD's published code) before one update; the last
    window of an epoch is stepped even when it is shorter."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Learning rate: as it is, falling to zero along half a cosine over the steps, or falling by `plateau_factor` when
    the loss on validation stops falling."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What `plateau` multiplies the learning rates by."""
    plateau_patience: NonNegativeInt = 5
    """So many epochs on end without a loss below the best one (by a factor of 1 - 1e-4) change nothing; `plateau` acts
    on the next one."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What networks compute in while they train (torch's autocast). Weights, what a network gives, losses, validation
    and evaluation are in float32 always. `float16` scales the objective, and leaves out updates that overflow."""
    clip: PositiveFloat | None = None
    """Largest norm of the student's gradient, clipped before an update; None does not clip."""
    clip_value: PositiveFloat | None = None
    """Largest absolute value of each element of the gradients, of the terms' own parameters too, clipped after every
    mini-batch on the running sum (as in DMD's published code); None does not clip."""
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    """When a loss or gradient is NaN or infinite. `stop`: training ends with the term, the step and the samples.
    `skip`: that update is left out, counted and logged. `rollback`: back to where the epoch began, with all learning
    rates halved from there on; the fourth time in a stage it stops. On CUDA `stop` looks every 50 mini-batches and
    before a state is saved, the others wait for the device once for every update."""
    select: str = "loss"
    """What picks the epoch on validation: `loss` (of the task; without one the weighted sum of the terms) or a metric,
    for the student under the recipe's masks."""
    patience: PositiveInt | None = None
    """Stop after so many epochs without a better validation value; None trains them all."""
    valid_draws: PositiveInt = 3
    """Validation is averaged over so many draws of the recipe's masks (one where there are none)."""
    average: Literal["none", "ema"] = "none"
    """`ema`: validate, pick and keep the exponential moving average of the weights."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] = 0.97
    """Decay of that average per update."""


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


class Evaluate(Closed):
    """How a trained student is evaluated."""

    seed: int = 0
    """Seed of the protocols' masks: the same for every run, so that methods meet identical holes."""
    batch_size: PositiveInt = 256


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
