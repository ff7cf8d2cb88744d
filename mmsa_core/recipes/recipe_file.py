"""Recipes as YAML files: reading, `--set` overrides, and errors that say file, line, key and remedy."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.recipes import installed, recipe_yaml
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.recipe_defects import KINDS, describe
from mmsa_core.recipes.recipe_yaml import KeyPath

REMOVABLE = {("distillers",): "term", ("model", "encoders"): "modality"}
"""Sections whose entries an override of null removes, and what an entry is."""


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file, or of an installed one's name; each override is `dotted.key=value`, the value in YAML.

    Raises:
        UserError: with every defect's file, line, key path and, where there is one, a suggestion.
    """
    path = installed.located(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read the recipe {path}: {reason}{installed.hint(path)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the recipe {path}: not a text file in UTF-8 ({error})") from error
    data, lines = recipe_yaml.read(text, str(path))
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        raise UserError(f"{path}: a recipe is a mapping of keys to values, found {found}")
    return build(data, overrides, str(path), {where: f"{path}:{line}" for where, line in lines.items()})


def build(
    data: Mapping[str, Any], overrides: Sequence[str], name: str, origin: Mapping[KeyPath, str] | None = None
) -> Recipe:
    """The recipe of plain data; `name`, and `origin` for single keys, say in errors where they come from."""
    changed, places = dict(data), dict(origin or {})
    for override in overrides:
        apply(changed, override, places)
    return validate(changed, places, name)


def apply(data: dict[str, Any], override: str, origin: dict[KeyPath, str]) -> None:
    """Set one dotted key. Naming another component or kind keeps only the keys that it also has.

    `distillers.NAME=null` removes that term, `model.encoders.NAME=null` that modality.
    """
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")) or not key.isprintable():
        raise UserError(f"--set {override}: expected key=value, for example --set train.lr=1e-4")
    value, _ = recipe_yaml.read(text, f"--set {override}")
    *parents, last = key.split(".")
    node = data
    for depth, parent in enumerate(parents, start=1):
        inner = node.get(parent)
        if inner is None:
            inner, origin[tuple(parents[:depth])] = {}, f"--set {override}"
        if not isinstance(inner, dict):
            raise UserError(
                f"--set {override}: {'.'.join(parents[:depth])} is {inner!r}, which has no keys; set it as a whole"
            )
        node[parent] = dict(inner)  # an alias (*name) elsewhere in the file keeps its value
        node = node[parent]
    if value is None and (what := REMOVABLE.get(tuple(parents))):
        if last not in node:
            raise UserError(
                f"--set {override}: there is no {what} '{last}' to remove; found: {', '.join(node) or 'none'}"
            )
        del node[last]
        return
    fields = _fields(parents, last, value)
    for other in [other for other in node if fields is not None and other not in fields]:
        del node[other]
    node[last] = value
    path = tuple(key.split("."))
    for known in [known for known in origin if known[: len(path)] == path]:
        del origin[known]
    origin[path] = f"--set {override}"


def _fields(parents: Sequence[str], last: str, value: Any) -> Collection[str] | None:
    """The fields of the component or kind that an override names; None if it names neither."""
    if last == "kind" and len(parents) == 1:
        return KINDS.get(parents[0], {}).get(str(value))
    tables = {"encoders": registry.encoders, "distillers": registry.distillers}
    table = tables.get(parents[-2]) if len(parents) > 1 else None
    if table is None and parents:
        tables = {"data": registry.datasets, "masker": registry.maskers, "fusion": registry.fusions}
        table = tables.get(parents[-1])
    if last != "name" or table is None:
        return None
    try:
        fields: Collection[str] = table.get(str(value)).Config.model_fields
    except UserError:
        return None  # validation reports the unknown name
    return fields


def validate(data: Mapping[str, Any], origin: Mapping[KeyPath, str], name: str) -> Recipe:
    """The recipe, or one error that lists every defect."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UserError(describe(error, data, origin, name)) from error


def dump(recipe: Recipe) -> str:
    """The filled recipe as YAML that `load` reads back to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
