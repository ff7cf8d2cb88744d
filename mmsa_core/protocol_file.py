"""Protocols as YAML: those that ship with mmsa, and one's own; from the file to the conditions of a data set."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import combinations, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from mmsa_core import data, recipe_yaml, registry
from mmsa_core.closed import Closed
from mmsa_core.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.maskers.pattern import Pattern
from mmsa_core.protocol import Average, Condition, Protocol
from mmsa_core.recipe import Masker
from mmsa_core.recipe_defects import describe
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
    conditions: dict[str, tuple[Masker, ...]] = Field(default_factory=dict)
    """Others: the maskers that act, one after the other; [] leaves the data as they are."""
    at: dict[str, float] = Field(default_factory=dict)
    """Where those stand on an axis of rates, by name, for averages that are areas."""
    averages: dict[str, Over] = Field(default_factory=dict)
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
    folder = files("mmsa_core") / "protocols"
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
    conditions = dict(_conditions(file, modalities, split))
    if not conditions:
        raise UserError(f"protocol '{file.name}': no condition is left for {', '.join(modalities)}")
    averages = {}
    for name, wanted in file.averages.items():
        found = _average(file, name, wanted, conditions, modalities)
        if found.over:
            averages[name.replace("{n}", str(len(found.over)))] = found
    return Protocol(file.name, conditions, averages, file.about, file.axis, file.metrics, file.draw)


def _conditions(file: File, modalities: Sequence[Modality], split: Split | None) -> Iterator[tuple[str, Condition]]:
    subsets = [seen for n in range(1, len(modalities) + 1) for seen in combinations(modalities, n)]
    kept = {"+".join(seen): _built(Pattern.Config(name="pattern", keep=seen)) for seen in subsets}
    values = file.rates.values if file.rates and not file.rates.each else ()
    rates = [(value, _built(_at(file.rates, value))) for value in values if file.rates]
    if file.subsets and rates:
        for subset, masker in kept.items():
            yield from ((f"{subset} {at:g}", Condition((masker, more), file.samples, at)) for at, more in rates)
    elif file.subsets:
        yield from ((subset, Condition((masker,), file.samples)) for subset, masker in kept.items())
    elif file.rates and file.rates.each:
        for modality in modalities:
            one = file.rates.model_copy(update={"masker": {**file.rates.masker, "modalities": [modality]}})
            for value in one.values:
                yield f"{modality} {_rate(value, one)}", Condition((_built(_at(one, value)),), file.samples, value)
    else:
        yield from ((_rate(at, file.rates), Condition((masker,), file.samples, at)) for at, masker in rates)
    if file.patterns:
        yield "all", Condition((), file.samples)
        found = dict.fromkeys(data.seen(split)) if split is not None else {}
        yield from ((name, Condition((), name)) for name in sorted(found, key=lambda n: (n.count("+"), n)) if name)
    for name, maskers in file.conditions.items():
        yield name, Condition(tuple(map(_built, maskers)), file.samples, file.at.get(name))


def _rate(value: float, rates: Rates | None) -> str:
    """`0.1`, with as many places as the rates of the protocol need."""
    assert rates is not None
    places = max(len(f"{each:g}".partition(".")[2]) for each in rates.values)
    return f"{value:.{places}f}"


def _built(config: Any) -> Any:
    return registry.maskers.get(config.name)(config)


def _average(
    file: File, name: str, wanted: Over, conditions: dict[str, Condition], modalities: Sequence[Modality]
) -> Average:
    if isinstance(wanted.over, str):
        whole = "+".join(modalities)
        proper = wanted.over == "proper"
        over = tuple(n for n in conditions if not (proper and n.split(" ")[0] == whole))
        if wanted.over == "rates":
            over = tuple(n for n in conditions if conditions[n].at is not None)
    else:
        over = wanted.over
        if unknown := [each for each in over if each not in conditions]:
            known = ", ".join(conditions)
            raise UserError(f"protocol '{file.name}': averages.{name}: no condition '{unknown[0]}'; there are: {known}")
    if wanted.how == "area" and (len(over) < 2 or any(conditions[each].at is None for each in over)):
        raise UserError(f"protocol '{file.name}': averages.{name}: an area needs two rates or more")
    return Average(over, wanted.how)
