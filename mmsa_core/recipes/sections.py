"""The sections of a recipe that name components, and how networks are trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic_core import CoreSchema, core_schema
from torch import nn

from mmsa_core import registry
from mmsa_core.closed import Closed
from mmsa_core.components import ComponentConfig, DatasetConfig, DistillerConfig, OptimizerConfig
from mmsa_core.errors import UserError


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
