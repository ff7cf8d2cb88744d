"""The sweep file: its schema. `sweep_file` reads it from YAML."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from mmsa_core.closed import Closed
from mmsa_core.sweeps.space import Space


class Objective(Closed):
    """What is compared, on the validation split: the mean over the seeds."""

    metric: str = "loss"
    """`loss` (of the task) or a metric, at the epoch that `train.select` picks. Losses and errors are minimised, other
    metrics maximised."""
    under: Literal["masks", "complete"] = "masks"
    """`masks`: as training validates, under the recipe's masks. `complete`: on what the data have; a space that changes
    the masks needs it, since scores under other masks are no comparison."""

    @property
    def minimised(self) -> bool:
        """Whether less is better."""
        return self.metric in ("loss", "mae")


class Tpe(Closed):
    """Tree-structured Parzen estimator: values near those of good trials are more likely."""

    kind: Literal["tpe"] = "tpe"
    seed: NonNegativeInt = 0
    startup: NonNegativeInt = 10
    """So many trials are drawn at random first."""


class Random(Closed):
    """Every trial by itself."""

    kind: Literal["random"]
    seed: NonNegativeInt = 0


class Grid(Closed):
    """Every combination once, in the order of the file; a range of floats needs a step."""

    kind: Literal["grid"]


class NoPruner(Closed):
    """Every trial is trained to its end."""

    kind: Literal["none"] = "none"


class Median(Closed):
    """A trial ends whose best epoch so far is worse than the median of the others at that epoch."""

    kind: Literal["median"]
    startup: NonNegativeInt = 5
    """So many trials are trained to their end first."""
    warmup: NonNegativeInt = 0
    """No trial ends before it has trained so many epochs."""


class Halving(Closed):
    """Asynchronous successive halving: of the trials that came so far only the best share goes on."""

    kind: Literal["halving"]
    epochs: PositiveInt = 1
    """The first look is after so many epochs, each further one after `keep` times as many."""
    keep: Annotated[int, Field(ge=2)] = 4
    """One of so many goes on."""


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"each seed once, found {', '.join(map(str, seeds))}")
    return seeds


class Sweep(Closed):
    """A search for good values of some keys of a recipe."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the default folder and the group at W&B."""
    recipe: Path
    """The recipe that trials differ from in the keys of `space` alone; a path from the sweep file's folder, or an
    installed recipe's name."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Other values of the recipe for all trials, as `--set` gives them: dotted key to value."""
    space: Annotated[Space, Field(min_length=1)]
    """Dotted key of the recipe to what it may be."""
    trials: PositiveInt | None = None
    """How many; only a grid has a number of its own."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_distinct)] | None = None
    """Of every trial; by default the recipe's."""
    objective: Objective = Objective()
    sampler: Annotated[Tpe | Random | Grid, Field(discriminator="kind")] = Tpe()
    """How the values of a trial are drawn."""
    pruner: Annotated[NoPruner | Median | Halving, Field(discriminator="kind")] = NoPruner()
    """Which trials end early, by the validation of their epochs."""
    failures: PositiveInt = 3
    """After so many trials in a row that fail the sweep ends."""
    restarts: NonNegativeInt = 2
    """How often a trial goes on whose process was killed, or whose machine was lost."""
