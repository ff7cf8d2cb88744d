"""A page about one component, made from its class: what `mmsa show` prints."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

from pydantic import BaseModel

from mmsa_core import registry
from mmsa_core.components import Dataset, Distiller, Encoder, Fusion, Masker
from mmsa_core.errors import UserError
from mmsa_core.field_types import value, written
from mmsa_core.plugins import equations, known
from mmsa_core.recipes import snippets
from mmsa_core.types import Outputs


def describe(name: str) -> str:
    """A page about every component called `name`: docstring, equations, contract, fields, and how a recipe names it."""
    tables = (*registry.ALL, registry.importers)
    pages = [_page(table, name) for table in tables if name in list(table)]
    if pages:
        return "\n\n".join(pages)
    for table in tables:
        if reason := table.elsewhere(name):
            raise UserError(reason)
    close = registry.suggestions(name, [each for table in tables for each in (*table, *known.names(table.kind))])
    raise UserError(f"unknown component '{name}'.{close} `mmsa list` shows all of them")


def _page(table: registry.Registry[Any], name: str) -> str:
    component = table.get(name)
    head = f"{table.kind} {name} ({' and '.join(table.owners(name))})"
    about = [inspect.getdoc(inspect.getmodule(component)), inspect.getdoc(component)]
    if table is registry.importers:
        return "\n\n".join([head, *filter(None, about)])
    sections = {
        "equations": [line for called, text in equations.of(component) for line in (called, *_indented(text))],
        "contract": list(_contract(component)),
        "fields": list(_fields(component.Config)) or ["none"],
        "in a recipe": snippets.snippet(table, name).splitlines(),
    }
    pages = ["\n".join([f"{title}:", *_indented("\n".join(lines), 2)]) for title, lines in sections.items() if lines]
    return "\n\n".join([head, *filter(None, about), *pages])


def _indented(text: str, by: int = 4) -> list[str]:
    return [" " * by + line if line else line for line in text.splitlines()]


def _contract(component: Any) -> Iterator[str]:
    """What core promises a component, and what it promises core."""
    if issubclass(component, Encoder):
        features = "features as they are" if component.raw else "standardised features"
        yield f"reads: one modality's {features}; gives: Encoded"
    if issubclass(component, Fusion):
        yield f"reads: Encoded of each modality; gives: {_outputs(component.gives)}"
    if issubclass(component, Encoder | Fusion) and component.fixed_length:
        yield "batches are padded to the longest sequence of the data, on which its result depends"
    if issubclass(component, Distiller):
        yield f"reads: {_outputs(component.reads)}; needs a teacher: {'yes' if component.needs_teacher else 'no'}"
        if component.needs_teacher:
            yield f"of the teacher: {'representations' if component.representations else 'predictions alone'}"
        if component.responses:
            yield "class responses, which task regression has not"
        if component.targets:
            yield "targets, which task none has not"
    if issubclass(component, Masker):
        features = "features and " if component.changes_features else ""
        yield f"reads: a batch and a draw; changes: {features}what is observed"
    if issubclass(component, Dataset):
        yield "gives: splits train, valid and test, or those that the files have"


def _outputs(kind: type[Outputs]) -> str:
    """A class of outputs, with what it has beyond the ones that every model returns."""
    more = [field.name for field in fields(kind) if field.name not in {each.name for each in fields(Outputs)}]
    return f"{kind.__name__} ({', '.join(more)})" if more else kind.__name__


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
        yield f"{prefix}{key}: {kind}, {said}"
        if field.description:
            yield f"    {' '.join(field.description.split())}"
        for section in sections:
            yield from _fields(section, f"{prefix}{key}.")
