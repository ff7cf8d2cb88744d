"""Sweeps as YAML files: reading, with errors that say file, line and key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mmsa_core.errors import UserError
from mmsa_core.recipes import installed, recipe_file
from mmsa_core.recipes.recipe_defects import describe
from mmsa_core.recipes.recipe_yaml import KeyPath
from mmsa_core.sweeps import contradictions
from mmsa_core.sweeps.sweep import Sweep


@dataclass(frozen=True)
class Loaded:
    """A sweep with the recipe that it starts from, as it is written, and where each key stands."""

    sweep: Sweep
    origin: Mapping[KeyPath, str]
    recipe: Mapping[str, Any]
    recipe_origin: Mapping[KeyPath, str]
    recipe_name: str

    def where(self, *path: str) -> str:
        """File and line of a key of the sweep."""
        return where(self.origin, *path)


def load(path: Path) -> Loaded:
    """The sweep of a YAML file.

    Raises:
        UserError: with every defect's file, line, key path and, where there is one, a suggestion.
    """
    data, origin = recipe_file.read(path, "sweep")
    try:
        sweep = Sweep.model_validate(data)
    except ValidationError as error:
        raise UserError(describe(error, data, origin, str(path))) from error
    places = {(): str(path), **origin}
    if wrong := [f"{where(places, *key)}: {'.'.join(key)}: {what}" for key, what in contradictions.found(sweep)]:
        raise UserError("\n".join(wrong))
    recipe = _base(path, sweep.recipe, origin["recipe",])
    base, in_recipe = recipe_file.read(recipe)
    return Loaded(sweep, places, base, in_recipe, str(recipe))


def where(origin: Mapping[KeyPath, str], *path: str) -> str:
    """File and line of a key, or of the part that it would be in."""
    return next(origin[path[:n]] for n in range(len(path), -1, -1) if path[:n] in origin)


def _base(path: Path, named: Path, where: str) -> Path:
    """The file of the recipe that a sweep starts from."""
    beside = path.parent / named.expanduser()
    if beside.is_file():
        return beside
    try:
        found = installed.located(named)
    except UserError as error:
        raise UserError(f"{where}: recipe: {error}") from error
    if not found.is_file():
        raise UserError(f"{where}: recipe: there is no file {beside}; the path is from the sweep's folder")
    return found


def dump(sweep: Sweep) -> str:
    """The filled sweep as YAML."""
    return yaml.safe_dump(sweep.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
