"""What is wrong with a recipe, in sentences: pydantic's findings with the place where each was written."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from mmsa_core.recipes.recipe_yaml import KeyPath
from mmsa_core.recipes.teachers import Teacher
from mmsa_core.tasks import Task


def _by_kind(union: Any) -> dict[str, Collection[str]]:
    """The fields of each alternative of a union, by its `kind`."""
    alternatives = [(get_args(each) or (each,))[0] for each in get_args(get_args(union)[0])]
    return {get_args(each.model_fields["kind"].annotation)[0]: each.model_fields for each in alternatives}


KINDS = {"task": _by_kind(Task), "teacher": _by_kind(Teacher)}


def describe(error: ValidationError, data: Any, origin: Mapping[KeyPath, str], name: str) -> str:
    """One line for each defect; `origin` says where each key was written."""
    defects = error.errors(include_url=False)
    found = [_describe(defect, data, origin, name) for defect in defects if not _consequence(defect, defects)]
    return "\n".join(dict.fromkeys(found))


def _consequence(defect: Any, defects: Sequence[Any]) -> bool:
    """Whether a list is only too short because its entries are wrong."""
    loc = defect["loc"]
    return defect["type"] == "too_short" and any(d["loc"][: len(loc)] == loc != d["loc"] for d in defects)


def _describe(defect: Any, data: Any, origin: Mapping[KeyPath, str], name: str) -> str:
    path = _path_in(data, defect["loc"])
    kind = defect["type"] in ("union_tag_invalid", "union_tag_not_found", "teacher_kind")
    path = (*path, "kind") if kind and isinstance(defect["input"], dict) else path
    known = next((origin[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origin), name)
    beneath = {where for key, where in origin.items() if key[: len(path)] == path and where.startswith("--set")}
    where = " with ".join([known, *sorted(beneath - {known})])
    key = ".".join(map(str, path))
    message = _kind_message(defect, path) if kind else _message(defect)
    return f"{where}: {key}: {message}" if key else f"{where}: {message}"


def _kind_message(defect: Any, path: KeyPath) -> str:
    given = defect["input"]
    section = str(path[-2] if path[-1] == "kind" and len(path) > 1 else path[-1])
    tags = defect.get("ctx", {}).get("expected_tags", "").replace("'", "").split(", ")
    known = [*KINDS[section]] if section in KINDS else [tag for tag in tags if tag]
    if not isinstance(given, dict):
        return f"expected a {section} as {{kind: ..., ...}}, found {_short(given)}. Kinds: {', '.join(known)}"
    if "kind" not in given:
        return f"required, and not given. Kinds: {', '.join(known)}"
    close = get_close_matches(str(given["kind"]), known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"unknown kind {_short(given['kind'])}.{hint} Kinds: {', '.join(known)}"


def _message(defect: Any) -> str:
    kind, given, context = defect["type"], defect.get("input"), defect.get("ctx", {})
    message: str = defect["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if kind in ("unknown_key", "component", "value_error"):
        return message
    if kind == "missing":
        return "required, and not given"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        message = "expected keys with values"
    if kind == "tuple_type":
        message = "expected a list, such as [1, 2]"
    if kind == "too_short":
        message = f"expected at least {context['min_length']} of them"
    if kind == "path_type":
        message = "expected a path"
    return f"{message} (found {_short(given)})"


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _path_in(data: Any, loc: Sequence[str | int]) -> KeyPath:
    """A validation error's location without the union tags that pydantic puts into it."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        listed = isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        if listed or (isinstance(data, dict) and part in data):
            data = data[part]
            path.append(part)
        elif last and isinstance(data, dict) and part != "[key]":  # a key that is required
            path.append(part)
    return tuple(path)
