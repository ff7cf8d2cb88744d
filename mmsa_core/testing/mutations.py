"""Plain data, tensors and bytes with something wrong in them, as a careless or a hostile hand leaves them.

`random` is any `random.Random`: hypothesis' own in tests (which then finds the smallest case), a seeded one in a soak.
"""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

import torch
from torch import Tensor

Path = tuple[str | int, ...]

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**40,
    0.0,
    -0.5,
    1e-300,
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "x",
    "none",
    "../../etc/passwd",
    "/dev/null",
    "a\x00b",
    "\x1b[2J",
    "\u202egnp",
    "[bold]{0.__class__}%s{{7*7}}",
    "=1+1",
    "<script>alert(1)</script>",
    "é" * 300,
    [],
    {},
    [1, [2, [3]]],
    {"name": "x"},
    {"kind": "none"},
    {"": None},
    [None, None],
)
"""What a key gets instead of its own value."""
WORDS = (
    "none",
    "concat",
    "gated",
    "tensor",
    "pooled",
    "projection",
    "recurrent",
    "transformer",
    "kd",
    "feature",
    "self",
    "ema",
)
"""Names that stand in recipes."""


def paths(data: Any, where: Path = ()) -> Iterator[Path]:
    """Every key and every entry of nested mappings and lists."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*where, key)
        yield from paths(value, (*where, key))


def changed(data: dict[str, Any], random: Random) -> dict[str, Any]:
    """One to three changes: another value, a key gone, renamed or new, or a value that belongs elsewhere."""
    found = deepcopy(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if everywhere := list(paths(found)):
            _change(found, random.choice(everywhere), random, everywhere)
    return found


def _change(data: dict[str, Any], path: Path, random: Random, everywhere: Sequence[Path]) -> None:
    *parents, key = path
    holder: Any = data
    for parent in parents:
        holder = holder[parent]
    kind = random.choice(("near", "near", "near", "value", "value", "gone", "renamed", "new", "elsewhere"))
    if kind == "near" and isinstance(holder[key], bool | int | float | str | Tensor):
        holder[key] = _near(holder[key], random)
    elif kind in ("near", "value"):
        holder[key] = deepcopy(random.choice(VALUES))
    elif kind == "gone":
        del holder[key]
    elif kind == "elsewhere":
        other: Any = data
        for part in random.choice(everywhere):
            other = other[part]
        holder[key] = deepcopy(other)
    elif isinstance(holder, dict):
        name = random.choice(("x", f"{key}s", str(key)[:-1], "name", "kind", "weight", "a.b", "\x1b"))
        holder[name] = holder.pop(key) if kind == "renamed" else deepcopy(random.choice(VALUES))
    else:
        holder.append(deepcopy(random.choice(VALUES)))


def _near(value: Any, random: Random) -> Any:
    """What could stand there by a slip, or just as well."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return random.choice((value[:-1], value.upper(), f"{value} ", *WORDS))
    if isinstance(value, Tensor):
        return random.choice(
            (_filled(value), value.flatten(), value.unsqueeze(0), value.double(), value.long(), -value)
        )
    return random.choice(
        (0, -value, value + 1, value - 1, 2 * value, value / 3, 16 * value, 1, float(value), str(value))
    )


def _filled(value: Tensor) -> Tensor:
    """NaN, or what a whole number has for the same end."""
    return torch.full_like(value, torch.nan if value.is_floating_point() else -1)


def text(data: dict[str, Any]) -> str:
    """As YAML that is JSON; what JSON does not know (.inf, .nan) is written as YAML has it."""
    written = json.dumps(data, indent=1)
    for theirs, ours in (("-Infinity", "-.inf"), ("Infinity", ".inf"), ("NaN", ".nan")):
        written = written.replace(theirs, ours)
    return written


def damaged(content: bytes, random: Random) -> bytes:
    """Bytes changed, a stretch copied over another, a part cut out, the end cut off, or something added."""
    found = bytearray(content) or bytearray(b"\0")
    kind = random.choice(("bytes", "bytes", "splice", "hole", "end", "more", "numbers"))
    at = random.randrange(len(found))
    if kind == "end":
        return bytes(found[:at])
    if kind == "more":
        return bytes(found) + random.randbytes(random.randint(1, 64))
    if kind == "hole":
        del found[at : at + random.randint(1, 64)]
    elif kind == "splice":
        source = random.randrange(len(found))
        found[at : at + random.randint(1, 64)] = found[source : source + random.randint(1, 64)]
    elif kind == "numbers":  # a length or an offset that lies
        found[at : at + 8] = random.choice((2**63 - 1, 2**32, 2**31, 0, 2**64 - 1)).to_bytes(8, "little")
    else:
        for _ in range(random.randint(1, 4)):
            found[random.randrange(len(found))] = random.randrange(256)
    return bytes(found)
