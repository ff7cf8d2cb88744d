"""A page about one component, made from its class: what `mmsa show` prints."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from mmsa_core import registry
from mmsa_core.components import Distiller, Fusion
from mmsa_core.errors import UserError
from mmsa_core.field_types import value, written


def describe(name: str) -> str:
    """Docstring, contract and fields of every component called `name`; an importer has a docstring alone."""
    tables = (*registry.ALL, registry.importers)
    pages = [_page(table, name) for table in tables if name in list(table)]
    if not pages:
        known = [each for table in tables for each in table]
        close = registry.suggestions(name, known)
        raise UserError(f"unknown component '{name}'.{close} `mmsa list` shows all of them")
    return "\n\n".join(pages)


def _page(table: registry.Registry[Any], name: str) -> str:
    component = table.get(name)
    lines = [f"{table.kind} {name} ({' and '.join(table.owners(name))})", "", inspect.getdoc(component) or ""]
    if table is registry.importers:
        return "\n".join(lines).rstrip()
    if issubclass(component, Distiller):
        lines += [
            "",
            f"reads: {component.reads.__name__}; needs a teacher: {'yes' if component.needs_teacher else 'no'}",
        ]
    if issubclass(component, Fusion):
        lines += ["", f"gives: {component.gives.__name__}"]
    return "\n".join([*lines, "", "fields:", *(list(_fields(component.Config)) or ["  none"])])


def _fields(config: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Two lines for each field; those of a nested section follow with dotted names, as `--set` takes them."""
    for key, field in config.model_fields.items():
        if key == "name" and not prefix:
            continue
        sections = [
            each
            for each in (field.annotation, *get_args(field.annotation))
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        default = field.get_default(call_default_factory=True)
        said = "default as follows"
        if field.is_required():
            said = "required"
        elif not isinstance(default, BaseModel):
            said = f"default {value(default)}"
        kind = written(field.annotation, field.metadata)
        yield f"  {prefix}{key}: {kind}, {said}"
        if field.description:
            yield f"      {' '.join(field.description.split())}"
        for section in sections:
            yield from _fields(section, f"{prefix}{key}.")
