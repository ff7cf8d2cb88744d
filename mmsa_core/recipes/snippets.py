"""How a component stands in a recipe: the sections that name it, with what it needs and nothing more."""

import types
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from unittest import SkipTest

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.recipes.recipe import term_label
from mmsa_core.recipes.sections import Named
from mmsa_core.types import Outputs

Sections = dict[str, Any]


def snippet(table: registry.Registry[Any], name: str) -> str:
    """The sections as YAML."""
    return yaml.safe_dump(sections(table, name), sort_keys=False, default_flow_style=None, width=100).rstrip()


def sections(table: registry.Registry[Any], name: str) -> Sections:
    """The sections as data; MODALITY and PATH stand for what the user has."""
    component, named = table.get(name), _named(table, name)
    if table is registry.encoders:
        return {"model": {"encoders": {"MODALITY": named}}}
    if table is registry.fusions:
        return {"model": {"fusion": named}}
    if table is registry.distillers:
        found: Sections = {}
        if component.reads is not Outputs and (fusion := giving(component.reads)):
            found["model"] = {"fusion": _named(registry.fusions, fusion)}
        if component.needs_teacher:
            found["teacher"] = {"kind": "trained"}
        return found | {"distillers": {_label(name): named}}
    return {"masker" if table is registry.maskers else "data": named}


def giving(wanted: type[Outputs]) -> str | None:
    """The first installed fusion that gives a class of outputs."""
    for name in registry.fusions:
        try:
            if issubclass(registry.fusions.get(name).gives, wanted):
                return name
        except UserError:  # it is broken, and nobody asked for it
            continue
    return None


def _named(table: registry.Registry[Any], name: str) -> Sections:
    """A component with the fields that it needs; where more is needed than types say, those of its first example."""
    component = table.get(name)
    found = {"name": name, **_required(component.Config)}
    with suppress(ValidationError):
        component.Config.model_validate(found)
        return found
    with TemporaryDirectory() as folder, suppress(SkipTest):
        example = component.examples(Path(folder))[0].config
        return {"name": name} | {key: "PATH" if isinstance(each, Path) else each for key, each in example.items()}
    return found


def _label(name: str) -> str:
    try:
        return term_label(name.split(".")[-1])
    except ValueError:
        return "term"


def _required(config: type[BaseModel]) -> Sections:
    """A value for each field that has no default."""
    return {key: _value(field) for key, field in config.model_fields.items() if field.is_required()}


def _value(field: FieldInfo) -> Any:
    """What the author gives as an example, or what the type allows."""
    return field.examples[0] if field.examples else _of(field.annotation, field.metadata)


def _of(annotation: Any, limits: Sequence[Any] = ()) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(inner[0], [*inner[1:], *limits])
    for each in limits:
        if isinstance(each, Named):
            return {"name": _plain(each.registry)}
    if origin is Literal:
        return inner[0]
    if origin in (Union, types.UnionType):
        return _of(inner[0], limits)
    if not isinstance(annotation, type):
        return "VALUE"
    if issubclass(annotation, BaseModel):
        return _required(annotation)
    if issubclass(annotation, Path):
        return "PATH"
    return _number(annotation, limits) if annotation in (int, float) else "VALUE"


def _number(kind: type[int] | type[float], limits: Sequence[Any]) -> int | float:
    """A number within its limits: half way, or one above the lowest."""
    flat = [each for limit in limits for each in getattr(limit, "metadata", [limit])]
    low = next(_bounds(flat, "ge", "gt"), 0)
    high = next(_bounds(flat, "le", "lt"), None)
    return kind(low + 1 if high is None else (low + high) / 2)


def _bounds(limits: Sequence[Any], *names: str) -> Iterator[float]:
    yield from (getattr(each, name) for each in limits for name in names if hasattr(each, name))


def _plain(table: registry.Registry[Any]) -> str:
    """The first component of a table that needs no field, core's before others."""
    for name in sorted(table, key=lambda name: ("." in name, name)):
        try:
            if not any(field.is_required() for field in table.get(name).Config.model_fields.values()):
                return name
        except UserError:  # it is broken, and nobody asked for it
            continue
    return "NAME"
