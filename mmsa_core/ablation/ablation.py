"""Variants of a recipe that each lack a part: what can be dropped, and the variants' recipes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.registry import suggestions

FULL = "full"
JOIN = "+"
"""Joins the paths that one variant drops together."""
PARTS = ("model", "teacher", "masker", "distillers", "train")
"""Where a recipe's parts are; without what the others say nothing could be compared."""


@dataclass(frozen=True)
class Variant:
    """A recipe of an ablation, and what it lacks."""

    name: str
    dropped: tuple[str, ...]
    recipe: Recipe


def variants(recipe: Recipe, drops: Sequence[str], each: Sequence[str] = ()) -> list[Variant]:
    """The full recipe, then one variant for each of `drops` and for each entry of the mappings that `each` names.

    Raises:
        UserError: for a path that the recipe does not have or cannot do without.
    """
    wanted = dict.fromkeys([*drops, *(path for mapping in each for path in _entries(recipe, mapping))])
    if not wanted:
        raise UserError("nothing to leave out: name a part with --drop, such as distillers.scd, or parts with --each")
    names = {given: _name(given) for given in wanted}
    if len(set(names.values())) < len(names):  # two paths end alike: whole paths tell them apart
        names = {given: f"without-{given}" for given in wanted}
    found = [Variant(FULL, (), recipe)]
    for given in wanted:
        dropped = tuple(given.split(JOIN))
        found.append(Variant(names[given], dropped, without(recipe, dropped)))
    return found


def without(recipe: Recipe, paths: Sequence[str]) -> Recipe:
    """The recipe without some of its parts: an entry of a mapping is gone, a field is what it is by default."""
    data = recipe.model_dump(mode="json")
    for path in paths:
        _check(recipe, path)
        node, keys = data, path.split(".")
        for key in keys[:-1]:
            node = node[key]
        node.pop(keys[-1])
    where = " ".join(f"--drop {path}" for path in paths)
    changed = recipe_file.validate(data, {}, where)
    if changed == recipe:
        raise UserError(f"{where}: the recipe has it as it is by default, so that there is nothing to leave out")
    return changed


def _check(recipe: Recipe, path: str) -> None:
    """Refuse a path that is not there, or that the recipe cannot do without."""
    *parents, last = path.split(".")
    node = _found(recipe, parents, f"--drop {path}")
    part = _found(node, [last], f"--drop {path}", ".".join(parents))
    if isinstance(node, Mapping) or last in _optional(node):
        return
    inside = _keys(part) if isinstance(part, Mapping) else _optional(part)
    able = [f"{path}.{key}" for key in inside] or [".".join([*parents, key]) for key in _optional(node)]
    raise UserError(
        f"--drop {path}: a recipe cannot do without it (another value is given with --set). "
        f"Near it can be left out: {', '.join(able) or 'nothing'}"
    )


def _optional(node: Any) -> list[str]:
    """The fields of a section whose default is that something is absent."""
    if not isinstance(node, BaseModel):
        return []
    defaults = {
        key: field.get_default(call_default_factory=True)
        for key, field in type(node).model_fields.items()
        if not field.is_required() and (not isinstance(node, Recipe) or key in PARTS)
    }
    return [key for key, value in defaults.items() if value in (None, "none", {}) or isinstance(value, BaseModel)]


def _found(node: Any, keys: Sequence[str], where: str, above: str = "") -> Any:
    """What is under some keys."""
    for key in keys:
        known = _keys(node)
        if key not in known:
            of = f" in {above}" if above else ""
            raise UserError(
                f"{where}: there is no part '{key}'{of}.{suggestions(key, known)} "
                f"Found: {', '.join(known) or 'nothing'}"
            )
        node = node[key] if isinstance(node, Mapping) else getattr(node, key)
        above = f"{above}.{key}" if above else key
    return node


def _keys(node: Any) -> list[str]:
    if isinstance(node, BaseModel):
        return [key for key in type(node).model_fields if (key in PARTS if isinstance(node, Recipe) else key != "name")]
    return list(node) if isinstance(node, Mapping) else []


def _entries(recipe: Recipe, mapping: str) -> Iterator[str]:
    """The path of each entry of a mapping."""
    found = _found(recipe, mapping.split("."), f"--each {mapping}")
    if not isinstance(found, Mapping) or not found:
        raise UserError(f"--each {mapping}: expected a part with named entries, such as distillers or model.encoders")
    yield from (f"{mapping}.{key}" for key in found)


def _name(given: str) -> str:
    return f"without-{JOIN.join(path.rpartition('.')[2] for path in given.split(JOIN))}"
