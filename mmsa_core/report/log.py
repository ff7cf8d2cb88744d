"""What a training wrote down: the rows of `metrics.jsonl`, as series over epochs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsa_core.errors import UserError
from mmsa_core.report.drawing.lines import Series

Epochs = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""By stage and quantity: the value of each epoch, NaN where it has none."""


@dataclass(frozen=True)
class Log:
    """The epochs of one seed."""

    epochs: Epochs


def read(folder: Path) -> Log:
    """The rows of one run folder; an imported run has trained nothing and has none."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return Log({})
    stages: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        row = _row(line)
        if row is None:
            raise UserError(
                f"{path}, line {number}: expected a JSON object with a stage, found {line[:60]!r}; the file was torn "
                "or altered. Remove the line, and the report draws the others; `mmsa verify` makes the whole log again"
            )
        if "best" in row:  # one row per epoch has it; the others are of single steps
            stages.setdefault(row["stage"], []).append(row)
    return Log({stage: _columns(rows) for stage, rows in stages.items()})


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("stage"), str) else None


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    names = dict.fromkeys(name for row in rows for name in row if name.startswith(("train/", "valid/")))
    return {name: np.array([_number(row.get(name)) for row in rows]) for name in names}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def over_seeds(logs: Sequence[Log], stage: str, name: str) -> Series | None:
    """Mean and standard deviation over the seeds as far as all of them trained; then each seed on its own."""
    found = [log.epochs[stage][name] for log in logs if name in log.epochs.get(stage, {})]
    if not found:
        return None
    common = min(map(len, found))
    values = np.stack([each[:common] for each in found])
    beyond = [(np.arange(float(common), len(each) + 1), each[common - 1 :]) for each in found if len(each) > common]
    mean, x = values.mean(axis=0), np.arange(1.0, common + 1)
    if len(found) == 1:
        return Series(x, mean)
    std = values.std(axis=0, ddof=1)
    return Series(x, mean, mean - std, mean + std, tuple(beyond))
