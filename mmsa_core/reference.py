"""A page about one component, made from its class: what `mmsa show` prints."""

import inspect
from typing import Any

from pydantic_core import PydanticUndefined

from mmsa_core import registry
from mmsa_core.components import Distiller, Fusion
from mmsa_core.errors import UserError


def describe(name: str) -> str:
    """Docstring, contract and fields of every component called `name`."""
    pages = [_page(table, name) for table in registry.ALL if name in list(table)]
    if not pages:
        known = [each for table in registry.ALL for each in table]
        close = registry.suggestions(name, known)
        raise UserError(f"unknown component '{name}'.{close} `mmsa list` shows all of them")
    return "\n\n".join(pages)


def _page(table: registry.Registry[Any], name: str) -> str:
    component = table.get(name)
    lines = [f"{table.kind} {name} ({' and '.join(table.owners(name))})", "", inspect.getdoc(component) or ""]
    if issubclass(component, Distiller):
        lines += [
            "",
            f"reads: {component.reads.__name__}; needs a teacher: {'yes' if component.needs_teacher else 'no'}",
        ]
    if issubclass(component, Fusion):
        lines += ["", f"gives: {component.gives.__name__}"]
    lines += ["", "fields:"]
    for key, field in component.Config.model_fields.items():
        if key == "name":
            continue
        default = "required" if field.default is PydanticUndefined else f"default {field.default!r}"
        kind = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
        lines.append(f"  {key}: {kind.replace('typing.', '')}, {default}")
        if field.description:
            lines.append(f"      {' '.join(field.description.split())}")
    return "\n".join(lines)
