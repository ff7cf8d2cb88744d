"""YAML as recipes are written in it: plain data, each key once, and the line of every key.

A file of somebody else costs bounded time and memory, and no text in it can steer a terminal.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from mmsa_core.errors import UserError
from mmsa_core.plain import LAYOUT, controls

KeyPath = tuple[str | int, ...]
LONGEST = 1 << 20
"""Characters of a text."""
HUGE, ITSELF = 10**12, -1
"""Where counting ends; a size that is not known yet."""
MOST = 20_000
"""Keys and values of a text, with those that an alias repeats."""
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
DIGITS = 100
"""Of a number; many more take long to convert, and Python refuses to print them."""


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise _refused(key_node, f"a key must be text, found {key!r}; put it in quotes")
            if key in seen:
                raise _refused(key_node, f"key '{key}' is repeated (first in line {seen[key]}); keep one")
            seen[key] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in NUMBERS and len(node.value) > DIGITS:
            raise _refused(node, f"a number of {len(node.value)} digits, {node.value:.20}...; none is so long")
        try:
            found = super().construct_object(node, deep)
        except (
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
            ArithmeticError,
        ) as error:  # such as the date 2024-13-45
            raise _refused(node, f"not a valid {node.tag.rpartition(':')[2]}: {node.value!r:.60} ({error})") from error
        if isinstance(found, str) and not found.isascii() and any("\ud800" <= c <= "\udfff" for c in found):
            raise _refused(node, f"{found!r:.60} is not text: it has half a character")
        if isinstance(found, str) and controls("".join(c for c in found if c not in LAYOUT)):
            raise _refused(node, f"{found!r:.60} has a control character, which no name or text needs; take it out")
        return found


def _refused(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def read(text: str, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """The data of a YAML text, and the line of each key; `name` says in errors where the text is from."""
    if len(text) > LONGEST:
        raise UserError(f"{name}: {len(text)} characters, expected at most {LONGEST}; is it a recipe or a protocol?")
    try:
        loader = UniqueKeys(text)
        node = loader.get_single_node()
        if (size := _size(node, {})) > MOST:
            raise UserError(f"{name}: {size} keys and values, aliases (*name) counted, expected at most {MOST}")
        lines = dict(_lines(node, ()))
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark and "\n" in text else name
        raise UserError(f"{where}: {_problem(error)}") from error
    except RecursionError as error:
        raise UserError(f"{name}: nested too deeply") from error
    return data, lines


def _problem(error: yaml.YAMLError) -> str:
    """What a YAML error says, in one line."""
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    if problem and problem.startswith("but "):
        problem = f"{context}, {problem}"
    return " ".join((problem or str(error)).split())


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Keys and values, each as often as an alias repeats it."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if known.get(id(node)) == ITSELF:
        raise _refused(node, "a value holds itself (*name within &name)")
    if id(node) not in known:
        known[id(node)] = ITSELF
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(each,) for each in node.value]
        known[id(node)] = min(1 + sum(_size(each, known) for pair in pairs for each in pair), HUGE)
    return known[id(node)]


def _lines(node: yaml.Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield (*path, position), value.start_mark.line + 1
            yield from _lines(value, (*path, position))
