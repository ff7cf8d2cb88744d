"""Protocols as YAML: those that ship with mmsa, and one's own; from the file to the conditions of a data set."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import combinations, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from mmsa_core import registry
from mmsa_core.closed import Closed
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.evaluation.protocol import Average, Condition, Protocol
from mmsa_core.maskers.pattern import Pattern
from mmsa_core.recipes import recipe_yaml
from mmsa_core.recipes.recipe_defects import describe
from mmsa_core.recipes.sections import Masker
from mmsa_core.types import Modality

SHORT = {"inter": "corrkd-inter", "intra": "corrkd-intra"}
"""Short names of the two that are run by default."""


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(after <= before for before, after in pairwise(values)):
        raise ValueError(f"expected numbers that rise, found {', '.join(f'{value:g}' for value in values)}")
    return values


class Rates(Closed):
    """A condition for each value of one field of a masker."""

    values: Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(_rising)]
    masker: dict[str, Any]
    """A masker without that field."""
    field: str = "rate"
    """The field that gets the value."""
    each: bool = False
    """One modality at a time: a condition for each modality and value, whose masker gets `modalities: [it]`."""


class Over(Closed):
    """An average."""

    over: Literal["all", "proper", "rates"] | tuple[str, ...] = "all"
    """All conditions; the subsets that lack a modality; those of `rates`; or names of conditions."""
    how: Literal["mean", "area"] = "mean"
    """`area`: under the curve over the rates, per unit of rate."""


class File(Closed):
    """A protocol as it is written."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    about: str = ""
    """Source, and what is measured."""
    axis: str = "condition"
    """What the conditions' names say: the heading of tables."""
    samples: Literal["all", "complete"] = "all"
    """Which samples of the split count: all, or those that have every modality."""
    metrics: tuple[str, ...] = ()
    """Metrics of the source, shown before the task's own where the task has them."""
    draw: str = ""
    """By which name masks are drawn; protocols of one draw meet the same holes. By default the protocol's."""
    subsets: bool = False
    """A condition for each non-empty subset of the modalities, the only ones that stay."""
    rates: Rates | None = None
    """A condition for each rate; with `subsets` each subset at each rate."""
    patterns: bool = False
    """A condition for all samples, and one for each pattern of modalities that occurs in the data, over its samples."""
    conditions: dict[Annotated[str, Field(min_length=1)], tuple[Masker, ...]] = Field(default_factory=dict)
    """Others: the maskers that act, one after the other; [] leaves the data as they are."""
    at: dict[str, float] = Field(default_factory=dict)
    """Where those stand on an axis of rates, by name, for averages that are areas."""
    averages: dict[Annotated[str, Field(min_length=1)], Over] = Field(default_factory=dict)
    """By name; `{n}` in a name is the number of conditions."""

    @model_validator(mode="after")
    def _something(self) -> "File":
        if not (self.subsets or self.rates or self.patterns or self.conditions):
            raise ValueError("there is no condition; give subsets, rates, patterns or conditions")
        if unknown := [name for name in self.at if name not in self.conditions]:
            raise ValueError(f"at: '{unknown[0]}' is not among the conditions: {', '.join(self.conditions) or 'none'}")
        return self


def shipped() -> dict[str, str]:
    """The text of each protocol that ships with mmsa, by its name."""
    folder = files("mmsa_core.evaluation") / "protocols"
    found = {entry.name: entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): found[name].read_text(encoding="utf-8") for name in sorted(found)}


def get(name: str, modalities: Sequence[Modality], split: Split | None = None) -> Protocol:
    """A protocol by its name or its file, for a model's modalities and the split that is evaluated.

    Raises:
        UserError: for an unknown name, or a file that is no protocol.
    """
    return resolve(load(name), modalities, split)


def load(name: str) -> File:
    """A protocol as it is written, by its name or its path."""
    known = shipped()
    chosen = SHORT.get(name, name)
    if chosen in known:
        return parse(known[chosen], chosen)
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        close = registry.suggestions(name, [*known, *SHORT])
        raise UserError(
            f"unknown protocol '{name}'.{close} Known: {', '.join([*SHORT, *known])}; or name a file that ends in .yaml"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the protocol {path}: {error}") from error
    return parse(text, str(path), path.parent)


def parse(text: str, where: str, folder: Path | None = None) -> File:
    """A protocol's YAML; paths in it are relative to its folder."""
    written, lines = recipe_yaml.read(text, where)
    if not isinstance(written, dict):
        raise UserError(f"{where}: a protocol is a mapping of keys to values, found {type(written).__name__}")
    origin = {key: f"{where}:{line}" for key, line in lines.items()}
    try:
        found = File.model_validate(written)
        _ = [_at(found.rates, value) for value in found.rates.values] if found.rates else []
    except ValidationError as error:
        raise UserError(describe(error, written, origin, where)) from error
    if folder is None:
        return found
    conditions = {
        name: tuple(_anchored(each, folder) for each in each_of) for name, each_of in found.conditions.items()
    }
    return found.model_copy(update={"conditions": conditions})


def _anchored(config: Any, folder: Path) -> Any:
    path = getattr(config, "path", None)
    return config.model_copy(update={"path": (folder / path).absolute()}) if isinstance(path, Path) else config


def _at(rates: Rates, value: float) -> Any:
    """The masker's settings at one rate."""
    return registry.maskers.config(rates.masker | {rates.field: value})


def resolve(file: File, modalities: Sequence[Modality], split: Split | None = None) -> Protocol:
    """The conditions of a protocol for these modalities and data."""
    subsets = dict(_subsets(file, modalities))
    conditions: dict[str, Condition] = {}
    for name, condition in (*subsets.items(), *_rates(file, modalities), *_others(file, split)):
        if name in conditions:
            raise UserError(
                f"protocol '{file.name}': two conditions are called '{name}'; give one of them another name"
            )
        conditions[name] = condition
    if not conditions:
        raise UserError(f"protocol '{file.name}': no condition is left for {', '.join(modalities)}")
    whole = "+".join(modalities)
    chosen = {
        "all": tuple(conditions),
        "proper": tuple(name for name in subsets if name.split(" ")[0] != whole),
        "rates": tuple(name for name, condition in conditions.items() if condition.at is not None),
    }
    averages: dict[str, Average] = {}
    for written, wanted in file.averages.items():
        over = chosen[wanted.over] if isinstance(wanted.over, str) else wanted.over
        name = written.replace("{n}", str(len(over)))
        where = f"protocol '{file.name}': averages.{written}"
        if name in conditions or name in averages:
            raise UserError(f"{where}: something else is called '{name}' already; give it another name")
        if over:
            averages[name] = _average(where, over, wanted.how, conditions)
    return Protocol(file.name, conditions, averages, file.about, file.axis, file.metrics, file.draw)


def _subsets(file: File, modalities: Sequence[Modality]) -> Iterator[tuple[str, Condition]]:
    """Every non-empty subset of the modalities, at each rate where there are rates."""
    subsets = [seen for n in range(1, len(modalities) + 1) for seen in combinations(modalities, n)]
    for seen in subsets if file.subsets else ():
        masker, name = _built(Pattern.Config(name="pattern", keep=seen)), "+".join(seen)
        if file.rates is None:
            yield name, Condition((masker,), file.samples)
            continue
        for at in file.rates.values:
            yield f"{name} {at:g}", Condition((masker, _built(_at(file.rates, at))), file.samples, at)


def _rates(file: File, modalities: Sequence[Modality]) -> Iterator[tuple[str, Condition]]:
    """Each rate, of all modalities or of one at a time; with subsets they are there already."""
    rates = file.rates
    if rates is None or file.subsets:
        return
    for modality in modalities if rates.each else ("",):
        one = rates.model_copy(update={"masker": {**rates.masker, "modalities": [modality]}}) if modality else rates
        for at in rates.values:
            yield f"{modality} {_rate(at, rates)}".strip(), Condition((_built(_at(one, at)),), file.samples, at)


def _others(file: File, split: Split | None) -> Iterator[tuple[str, Condition]]:
    """The patterns of the data, and the conditions that the file names."""
    if file.patterns:
        yield "all", Condition((), file.samples)
        found = dict.fromkeys(data.seen(split)) if split is not None else {}
        yield from ((name, Condition((), name)) for name in sorted(found, key=lambda n: (n.count("+"), n)) if name)
    for name, maskers in file.conditions.items():
        yield name, Condition(tuple(map(_built, maskers)), file.samples, file.at.get(name))


def _rate(value: float, rates: Rates) -> str:
    """`0.1`, with as many places as the rates of the protocol need."""
    places = max(len(f"{each:g}".partition(".")[2]) for each in rates.values)
    return f"{value:.{places}f}"


def _built(config: Any) -> Any:
    return registry.maskers.get(config.name)(config)


def _average(
    where: str, over: tuple[str, ...], how: Literal["mean", "area"], conditions: Mapping[str, Condition]
) -> Average:
    if unknown := [each for each in over if each not in conditions]:
        raise UserError(f"{where}: no condition '{unknown[0]}'; there are: {', '.join(conditions)}")
    if twice := [each for each in over if over.count(each) > 1]:
        raise UserError(f"{where}: names '{twice[0]}' twice; name each condition once")
    if how == "area":
        at = [place for each in over if (place := conditions[each].at) is not None]
        if len(at) < max(2, len(over)):
            raise UserError(f"{where}: an area needs two rates or more")
        if any(after <= before for before, after in pairwise(at)):
            raise UserError(f"{where}: an area needs rates that rise, found {', '.join(f'{place:g}' for place in at)}")
    return Average(over, how)
