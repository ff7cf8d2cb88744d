"""A page for each kind of component, made from the registries: docstrings, equations, fields, source."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import fields
import mathml
import recipe_reference

from mmsa_core import registry
from mmsa_core.plugins import equations
from mmsa_core.recipes import snippets

HEAD = """# Components

Made from the registries of core, mmsa-corrkd and mmsa-dmd. `mmsa list` shows what is installed on your machine,
`mmsa show NAME` one of them.

"""


def pages() -> dict[str, str]:
    """The overview, and a page for each kind."""
    overview = HEAD + "\n\n".join("\n".join(_summary(table)) for table in registry.ALL) + "\n"
    return {"reference/components.md": overview} | {
        f"reference/{table.kind.replace(' ', '-')}s.md": "\n".join(_page(table)) for table in registry.ALL
    }


def _summary(table: registry.Registry[Any]) -> Iterator[str]:
    kind = table.kind
    file = f"{kind.replace(' ', '-')}s.md"
    yield f"## {kind.capitalize()}s\n"
    yield f"| {kind} | from | what it is |"
    yield "| --- | --- | --- |"
    for name in table:
        about = mathml.from_docstring(_first(inspect.getdoc(table.get(name)) or ""))
        yield f"| [`{name}`]({file}#{anchor(name)}) | {', '.join(table.owners(name))} | {about} |"


def _page(table: registry.Registry[Any]) -> Iterator[str]:
    yield f"# {table.kind.capitalize()}s\n"
    for name in table:
        component = table.get(name)
        yield f"## {name} {{#{anchor(name)}}}\n"
        module = sys.modules[component.__module__]
        for text in (inspect.getdoc(component), inspect.getdoc(module)):
            yield mathml.from_docstring(text or "") + "\n"
        for called, text in equations.of(component):
            yield f"`{called}`\n\n{mathml.from_docstring(text)}\n"
        rows = [*_rows(component.Config)]
        yield (fields.table(rows) if rows else "It has no fields.") + "\n"
        yield f"In a recipe:\n\n```yaml\n{snippets.snippet(table, name)}\n```\n"
        yield f'??? note "Source: {component.__module__.replace(".", "/")}.py"\n'
        source = inspect.getsource(module).rstrip().splitlines()
        yield "\n".join(["    ```python", *(f"    {line}".rstrip() for line in source), "    ```"]) + "\n"


def _rows(config: Any, prefix: str = "") -> Iterator[fields.Row]:
    for key, field in config.model_fields.items():
        if key == "name" and not prefix:
            continue
        yield f"{prefix}{key}", field, recipe_reference.component(field.annotation, field.metadata)
        for inner in recipe_reference.models(field.annotation):
            yield from _rows(inner, f"{prefix}{key}.")


def _first(text: str) -> str:
    """The first sentence of a docstring, as far as its first paragraph goes."""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def anchor(name: str) -> str:
    """A heading's id."""
    return name.replace(".", "-")
