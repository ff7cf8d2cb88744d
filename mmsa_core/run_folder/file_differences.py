"""Where two files of a run folder differ first, and by how much."""

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from mmsa_core.errors import UserError
from mmsa_core.run_folder.checkpoint import read_tensors

UNREADABLE = (UserError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, csv.Error)
"""What a file raises that is none of its kind any more."""
TORN = "torn"
"""In place of a row that is no JSON object: the number of its line."""


def first_difference(then: Path, now: Path) -> str | None:
    """Where a file differs from its successor first; None where every byte is the same."""
    for path, when in ((then, "then"), (now, "now")):
        if not path.is_file():
            return f"was not written {when}"
    if then.read_bytes() == now.read_bytes():
        return None
    differs = {".jsonl": _rows, ".safetensors": _tensors, ".csv": _table, ".json": _results}[then.suffix]
    try:
        return differs(then, now) or "the same content in other bytes"
    except UNREADABLE as error:
        return f"was damaged since: it is no whole {then.suffix[1:]} of a run any more ({error!s:.200})"


def _rows(then: Path, now: Path) -> str | None:
    """Of a log: the first row, and the first of its terms."""
    for one, other in zip_longest(_lines(then), _lines(now)):
        for row, when in ((one, "then"), (other, "now")):
            if row and TORN in row:
                return f"line {row[TORN]} of what was written {when} is torn or was altered"
        if one is None or other is None:
            row, what = one or other, "is missing " + ("then" if one is None else "now")
            return f"{_place(row)} {what}"
        if one != other:
            return f"first at {_place(one)}: {_numbers(one, other)}"
    return None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield row if isinstance(row, dict) else {TORN: number}


def _place(row: Mapping[str, Any]) -> str:
    kind = "epoch" if "best" in row else "step"
    return f"{row.get('stage')} {kind} {row.get(kind)} (epoch {row.get('epoch')})"


def _tensors(then: Path, now: Path) -> str | None:
    (one, _), (other, _) = read_tensors(then), read_tensors(now)
    names = [name for name in dict.fromkeys((*one, *other)) if not _same(one.get(name), other.get(name))]
    if not names:
        return None
    first = names[0]
    if first not in one or first not in other or one[first].shape != other[first].shape:
        return f"{first} is absent or of another shape in one of them"
    by = max((one[n].double() - other[n].double()).abs().max().item() for n in names if _comparable(one, other, n))
    return f"{len(names)} of {len(one)} tensors, the first is {first}; by at most {by:.3g}"


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def _comparable(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], name: str) -> bool:
    return name in one and name in other and one[name].shape == other[name].shape and one[name].numel() > 0


def _table(then: Path, now: Path) -> str | None:
    with then.open(encoding="utf-8", newline="") as first, now.open(encoding="utf-8", newline="") as second:
        for number, (one, other) in enumerate(zip_longest(csv.DictReader(first), csv.DictReader(second)), start=1):
            if one is None or other is None:
                return f"row {number} is missing {'then' if one is None else 'now'}"
            if one != other:
                return f"first in row {number} (id {one.get('id')}): {_numbers(one, other)}"
    return None


def _results(then: Path, now: Path) -> str | None:
    one, other = (dict(_flat(json.loads(path.read_text(encoding="utf-8")))) for path in (then, now))
    return _numbers(one, other) if one != other else None


def _flat(value: Any, start: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{start}.{key}" if start else str(key))
    else:
        yield start, value


def _numbers(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first name whose values differ, both values and their distance; how many more there are."""
    names = [name for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)]
    first = names[0]
    before, after = one.get(first), other.get(first)
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    try:
        by = f" (by {abs(float(after) - float(before)):.3g})"  # type: ignore[arg-type]
    except (TypeError, ValueError):
        by = ""
    return f"{first} is {before} then, {after} now{by}{more}"
