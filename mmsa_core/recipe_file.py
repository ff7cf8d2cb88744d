"""Recipes as YAML files: reading, `--set` overrides, and errors that say file, line, key and remedy."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.recipe import Recipe

KeyPath = tuple[str | int, ...]


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be text, found {key!r}; put it in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is repeated (first in line {seen[key]}); keep one", key_node.start_mark
                )
            seen[key] = line
        return super().construct_mapping(node, deep)


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file; each override is `dotted.key=value`, the value in YAML.

    Raises:
        UserError: with every defect's file, line, key path and, where there is one, a suggestion.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the recipe {path}: {error}") from error
    data, lines = parse(text, str(path))
    origin: dict[KeyPath, str] = {where: f"{path}:{line}" for where, line in lines.items()}
    for override in overrides:
        apply(data, override, origin)
    return validate(data, origin, str(path))


def parse(text: str, name: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The data of a YAML text, and the line of each key."""
    try:
        data = yaml.load(text, UniqueKeys)  # noqa: S506 - a SafeLoader
        tree = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise UserError(f"{where}: {getattr(error, 'problem', None) or error}") from error
    except RecursionError as error:
        raise UserError(f"{name}: nested too deeply to be a recipe") from error
    if not isinstance(data, dict):
        raise UserError(f"{name}: a recipe is a mapping of keys to values, found {type(data).__name__}")
    return data, dict(_lines(tree, ()))


def _lines(node: yaml.Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield (*path, position), value.start_mark.line + 1
            yield from _lines(value, (*path, position))


def apply(data: dict[str, Any], override: str, origin: dict[KeyPath, str]) -> None:
    """Set one dotted key. Naming another component keeps only the keys that it also has."""
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"--set {override}: expected key=value, for example --set train.lr=1e-4")
    try:
        value = yaml.load(text, UniqueKeys)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not YAML: {getattr(error, 'problem', error)}") from error
    *parents, last = key.split(".")
    node = data
    for parent in parents:
        if not isinstance(node.get(parent), dict):
            node[parent] = {}
        node = node[parent]
    if last == "name" and node.get("name") not in (None, value):
        _keep_shared(node, parents, value)
    node[last] = value
    path = tuple(key.split("."))
    for known in [known for known in origin if known[: len(path)] == path]:
        del origin[known]
    origin[path] = f"--set {override}"


def _keep_shared(node: dict[str, Any], parents: list[str], name: Any) -> None:
    """Drop the old component's own keys from a section that now names another component."""
    kinds = {"data": registry.datasets, "masker": registry.maskers, "fusion": registry.fusions}
    table = kinds.get(parents[-1]) if parents else None
    if table is None and len(parents) > 1:
        table = {"encoders": registry.encoders, "distillers": registry.distillers}.get(parents[-2])
    if table is None:
        return
    try:
        fields = table.get(str(name)).Config.model_fields
    except UserError:
        return  # validation reports the unknown name
    for key in [key for key in node if key not in fields]:
        del node[key]


def validate(data: Mapping[str, Any], origin: Mapping[KeyPath, str], name: str) -> Recipe:
    """The recipe, or one error that lists every defect."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        found = [_describe(defect, data, origin, name) for defect in error.errors()]
        raise UserError("\n".join(dict.fromkeys(found))) from error


def _describe(defect: Any, data: Any, origin: Mapping[KeyPath, str], name: str) -> str:
    path = _path_in(data, defect["loc"])
    known = next((origin[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origin), name)
    message = defect["msg"].removeprefix("Value error, ")
    given = defect.get("input")
    if defect["type"] not in ("missing", "unknown_key", "value_error") and isinstance(given, str | int | float | list):
        message += f" (found {given!r})"
    key = ".".join(map(str, path))
    return f"{known}: {key}: {message}" if key else f"{known}: {message}"


def _path_in(data: Any, loc: Sequence[str | int]) -> KeyPath:
    """A validation error's location without the union tags that pydantic puts into it."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        inside = part in data if isinstance(data, dict) else False
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            inside = True
        missing = isinstance(data, dict) and position == len(loc) - 1  # the last part names the key that is absent
        if inside:
            data = data[part]
        if inside or missing:
            path.append(part)
    return tuple(path)


def dump(recipe: Recipe) -> str:
    """The filled recipe as YAML that `load` reads back to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
