"""Recipes in a notebook: from a file, a name, a dict or another recipe, with changes as keywords."""

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe

Given = Recipe | Mapping[str, Any] | str | PathLike[str]
"""A recipe, its data, or the path or name of one."""


def recipe(given: Given, overrides: Sequence[str] = (), **changes: Any) -> Recipe:
    """The recipe of a file (or a name, where distributions bring recipes), of plain data, or of another recipe.

    Overrides are written as on the command line, `"train.lr=1e-4"`; changes are keywords, two underscores for each
    dot: `train__lr=1e-4`, `seeds=[1, 2]`.

    Raises:
        UserError: with every defect.
    """
    if isinstance(overrides, str):
        raise UserError(f"overrides: expected a list, such as [{overrides!r}], found {overrides!r}")
    every = [*overrides, *(f"{key.replace('__', '.')}={json.dumps(_plain(value))}" for key, value in changes.items())]
    if isinstance(given, Recipe):
        return recipe_file.build(given.model_dump(mode="json"), every, given.name) if every else given
    if isinstance(given, Mapping):
        return recipe_file.build(_plain(given), every, "the recipe")
    return recipe_file.load(Path(given), every)


def _plain(value: Any) -> Any:
    """Plain data of what Python writes a recipe with: paths, tuples, ranges, NumPy's numbers and configs."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return str(value) if isinstance(value, PathLike) else value
