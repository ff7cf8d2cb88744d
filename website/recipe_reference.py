"""The recipe's fields as a page, made from the pydantic models that check recipes."""

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import fields
from pydantic import BaseModel

from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.sections import Named

HEAD = """# Recipe reference

Made from the models that check recipes. Every key can be set on the command line: `--set train.lr=1e-4`. Unknown
keys are errors that name the line. `mmsa schema` writes the same for editors. Components, such as `masker`, have the
fields of the class that they name: see [Components](components.md).
"""


def page() -> str:
    """The page, in Markdown."""
    return HEAD + "\n".join(_section(Recipe, ""))


def _section(model: type[BaseModel], key: str) -> Iterator[str]:
    kind = model.model_fields.get("kind")
    word = f" (kind: {fields.default(kind)})" if kind is not None else ""
    yield f"\n## {f'`{key}`' if key else 'A recipe'}{word}\n"
    yield inspect.cleandoc(model.__doc__ or "") + "\n"
    rows = [(name, field) for name, field in model.model_fields.items() if name != "kind"]
    if rows:
        yield fields.table(
            [
                (f"{key}.{name}" if key else name, field, component(field.annotation, field.metadata))
                for name, field in rows
            ]
        )
    for name, field in rows:
        for inner in models(field.annotation):
            yield from _section(inner, f"{key}.{name}" if key else name)


def models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation] if set(annotation.model_fields) - {"name"} else []
    if get_origin(annotation) is Annotated and any(isinstance(each, Named) for each in annotation.__metadata__):
        return []
    return [found for inner in get_args(annotation) for found in models(inner)]


def component(annotation: Any, metadata: Any = ()) -> str | None:
    """The kind of component that a field names."""
    for each in (*metadata, *(annotation.__metadata__ if get_origin(annotation) is Annotated else ())):
        if isinstance(each, Named):
            return str(each.registry.kind)
    return next((kind for inner in get_args(annotation) if (kind := component(inner))), None)
