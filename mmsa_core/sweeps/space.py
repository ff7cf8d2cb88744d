"""What a key of a recipe may be: one of some values, or a number between two."""

import json
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mmsa_core.closed import Closed

Scalar = str | int | float | bool | None


class Categorical(Closed):
    """One of some values; a whole section, such as `{name: concat}`, is a value too."""

    kind: Literal["categorical"]
    choices: Annotated[tuple[Any, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _distinct(self) -> "Categorical":
        if len(set(map(label, self.choices))) < len(self.choices):
            raise ValueError("each choice once")
        return self

    def ends(self) -> list[Any]:
        """The values that are tried before anything trains."""
        return list(self.choices)


class _Range(Closed):
    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        low, high, step, log = (getattr(self, name) for name in ("low", "high", "step", "log"))
        if not low < high:
            raise ValueError(f"expected low < high, found {low:g} and {high:g}")
        if log and low <= 0:
            raise ValueError(f"log: true needs low above 0, found {low:g}")
        if log and step is not None:
            raise ValueError("log: true and a step exclude each other; remove one")
        return self

    def ends(self) -> list[Any]:
        """The values that are tried before anything trains."""
        return [getattr(self, "low"), getattr(self, "high")]  # noqa: B009 - the fields of its children


class Int(_Range):
    """A whole number."""

    kind: Literal["int"]
    low: int
    high: int
    step: PositiveInt | None = None
    """From `low` in steps of this size; by default of 1."""
    log: bool = False
    """Small numbers as finely as large ones, by ratio."""


class Float(_Range):
    """A number."""

    kind: Literal["float"]
    low: float
    high: float
    step: PositiveFloat | None = None
    """From `low` in steps of this size; by default any number."""
    log: bool = False
    """Small numbers as finely as large ones, by ratio."""


Dimension = Annotated[Categorical | Int | Float, Field(discriminator="kind")]
Space = dict[str, Dimension]


def label(value: Any) -> Scalar:
    """A choice as the optimiser, tables and figures know it: a section or list is its JSON."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)


def value_of(dimension: Dimension, labelled: Scalar) -> Any:
    """What a recipe is given for what the optimiser chose."""
    if not isinstance(dimension, Categorical):
        return labelled
    return next(c for c in dimension.choices if label(c) == labelled)


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination, the last key first; of a whole number's range every step."""
    each: list[list[Scalar]] = []
    for dimension in space.values():
        if isinstance(dimension, Int):
            each.append(list(range(dimension.low, dimension.high + 1, dimension.step or 1)))
        elif isinstance(dimension, Float):
            assert dimension.step is not None
            count = int((dimension.high - dimension.low) / dimension.step + 1e-9)
            each.append([dimension.low + n * dimension.step for n in range(count + 1)])
        else:
            each.append([label(choice) for choice in dimension.choices])
    return [dict(zip(space, values, strict=True)) for values in product(*each)]
