"""Components that a notebook registered by hand: what a run says of them, and what is said where they are missing."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.recipes.recipe import Recipe

KEY = "registered_by_hand"
"""Of provenance: {kind: {name: module:class}}."""


def used(recipe: Recipe) -> dict[str, dict[str, str]]:
    """The components of a recipe that this process registered by hand, and where each class was defined."""
    named = set(_names(recipe.model_dump(mode="json")))
    found = {
        table.kind: {
            name: f"{component.__module__}:{component.__qualname__}"
            for name, component in table.by_hand.items()
            if name in named
        }
        for table in registry.ALL
    }
    return {kind: names for kind, names in found.items() if names}


def missing(about: Mapping[str, Any], folder: Path) -> str | None:
    """What to say of a run whose provenance names classes that this process does not have."""
    lines = []
    tables = {table.kind: table for table in registry.ALL}
    noted = about.get(KEY)
    for kind, names in noted.items() if isinstance(noted, dict) else ():
        for name, place in names.items() if isinstance(names, dict) and kind in tables else ():
            if name not in tables[kind]:
                lines.append(
                    f"{folder}: its {kind} '{name}' is the class {place}, which was registered by hand where the run "
                    f"was trained and is not known here. Define it, then: "
                    f"mmsa_core.registry.{kind}s.register('{name}', {place.rpartition(':')[2]})"
                )
    return "\n".join(lines) or None


def elsewhere(recipe: Recipe) -> str | None:
    """A class of a recipe that another process could not import; None where all can."""
    for names in used(recipe).values():
        for name, place in names.items():
            if not _importable(place):
                return f"'{name}' ({place})"
    return None


def register(found: Mapping[str, Mapping[str, str]]) -> None:
    """Register what another process had registered by hand."""
    for table in registry.ALL:
        for name, place in found.get(table.kind, {}).items():
            module, _, attribute = place.partition(":")
            table.register(name, getattr(import_module(module), attribute))


def check_jobs(recipe: Recipe, asked: int | None) -> int | None:
    """One process where a class could not be imported by others; asked for more, that is an error."""
    lone = elsewhere(recipe)
    if lone is None or asked == 1:
        return asked
    if asked is None:
        return 1
    raise UserError(
        f"jobs: {asked} processes were asked for, but only this one has the class {lone}; train with jobs=1, or put "
        "the class into a module"
    )


def _importable(place: str) -> bool:
    module, _, attribute = place.partition(":")
    if module == "__main__" or "." in attribute:
        return False
    return module in sys.modules and find_spec(module) is not None


def _names(data: Any) -> Iterator[str]:
    """Every `name` in nested data."""
    if isinstance(data, dict):
        if isinstance(data.get("name"), str):
            yield data["name"]
        for value in data.values():
            yield from _names(value)
