"""Mean and standard deviation over seeds, as cells."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from mmsa_core.report.blocks import Cell, Measured
from mmsa_core.report.metric_names import percent


def measured(values: Sequence[float | None], decimals: int = 3) -> Cell:
    """Mean and sample standard deviation of plain numbers; an empty cell where a seed has none."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    return Measured(fmean(known), stdev(known) if len(known) > 1 else None, decimals=decimals)


def metric(name: str, found: Mapping[str, Any] | None) -> Cell:
    """A cell of a summary: `{"mean", "std", ...}` of a metric; an empty cell where there is none."""
    return None if found is None else Measured(found["mean"], found.get("std"), percent(name))


def plain(name: str, values: Mapping[str, float | None]) -> Cell:
    """A cell of a predictor that has no seeds."""
    return Measured(values[name], None, percent(name)) if name in values else None
