"""Curves over missing rates, with bands."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmsa_core.report.blocks import Block, Picture, Section, Text
from mmsa_core.report.drawing.lines import Panel, Series, panels
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading, percent
from mmsa_core.report.tested import RESAMPLES, Tested, headline

SIGNED = frozenset({"corr"})
"""Metrics for which zero is a value to look at."""
LIMITS = {"corr": (-1.0, 1.0), "mae": (0.0, np.inf)}
"""No band goes where the metric cannot be; shares end at 0 and 100 %."""


def section(material: Material) -> Section | None:
    """A figure for each protocol with rates: a panel for each metric, or for each subset at all rates."""
    blocks: list[Block] = []
    for tested in material.tested:
        found = axes(tested)
        metrics = headline(tested.first, tested.values(next(iter(tested.found)), tested.entries[0]))
        if len(found) == 1:
            blocks.append(_by_metric(tested, next(iter(found.values())), metrics))
        elif found:
            blocks += [_by_axis(tested, found, name) for name in metrics if name.startswith(("f1", "auc"))]
    if not blocks:
        return None
    return Section("Curves over missing rates", (Text(band(material)), *blocks))


def axes(tested: Tested) -> dict[str, list[str]]:
    """The conditions that stand on an axis of rates: one axis, or one for each subset; by what their names share."""
    found: list[list[str]] = []
    last = np.inf
    for name, condition in tested.protocol.conditions.items():
        if condition.at is None:
            continue
        if condition.at <= last:
            found.append([])
        found[-1].append(name)
        last = condition.at
    return {_shared(names): names for names in found if len(names) > 1}


def _shared(names: Sequence[str]) -> str:
    """What the names of one axis have in common, without the rate."""
    start = names[0]
    while not all(name.startswith(start) for name in names):
        start = start[:-1]
    return start.rstrip("0.").rstrip(" ,@:")


def _by_metric(tested: Tested, conditions: Sequence[str], metrics: Sequence[str]) -> Picture:
    drawn = [_panel(tested, conditions, name, "") for name in metrics]
    return _picture(tested, f"curves-{tested.protocol.name}", f"Protocol {tested.protocol.name}", drawn)


def _by_axis(tested: Tested, found: Mapping[str, Sequence[str]], name: str) -> Picture:
    drawn = [_panel(tested, conditions, name, axis) for axis, conditions in found.items()]
    title = f"{heading(name)}, protocol {tested.protocol.name}"
    return _picture(tested, f"curves-{tested.protocol.name}-{name}", title, drawn)


def _picture(tested: Tested, file: str, title: str, drawn: Sequence[Panel]) -> Picture:
    runs = list(tested.found)
    return Picture(
        file,
        f"{title}: metrics over the {tested.protocol.axis}; grey lines are predictors that look at no sample.",
        f"Line plots over the {tested.protocol.axis}, a panel for each of "
        f"{', '.join(panel.title or panel.ylabel for panel in drawn)}; "
        f"a line for each of {', '.join(runs)}. The numbers are in the tables of protocol {tested.protocol.name}.",
        partial(panels, drawn, runs),
    )


def _panel(tested: Tested, conditions: Sequence[str], name: str, title: str) -> Panel:
    at = np.array([tested.protocol.conditions[condition].at for condition in conditions], dtype=np.float64)
    series = {run: _series(tested, run, name, conditions, at) for run in tested.found}
    references = tested.references[conditions[0]]
    levels = {each: values.get(name) for each, values in references.items() if each in ("constant", "random")}
    scale = 100.0 if percent(name) else 1.0
    shown = {f"predictor: {each}": scale * value for each, value in levels.items() if value is not None}
    return Panel(title, tested.protocol.axis, heading(name), series, shown, zero=name in SIGNED)


def _series(tested: Tested, run: str, name: str, conditions: Sequence[str], at: NDArray[np.float64]) -> Series:
    """The mean, and its band: the deviation over seeds, or for one seed the interval over samples."""
    scale = 100.0 if percent(name) else 1.0
    values = [tested.values(run, condition).get(name, {}) for condition in conditions]
    mean, std = (scale * np.array([_number(each.get(key)) for each in values]) for key in ("mean", "std"))
    if len(tested.found[run].scores) == 1:
        low, high = scale * np.array([tested.intervals[run][name, condition] for condition in conditions]).T
        return Series(at, mean, low, high)
    least, most = (0.0, 100.0) if percent(name) else LIMITS.get(name, (-np.inf, np.inf))
    return Series(at, mean, np.maximum(mean - std, least), np.minimum(mean + std, most))


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def band(material: Material) -> str:
    """What the bands are."""
    several = "one standard deviation over seeds on either side, as far as a metric can go"
    single = f"95 % bootstrap intervals over samples ({RESAMPLES} resamples), which say nothing of seeds"
    kinds = {len(run.seeds) > 1 for run in material.runs}
    if kinds == {True}:
        return f"Lines are means over seeds, bands {several}."
    if kinds == {False}:
        return f"Each line is one seed; bands are {single}."
    return f"Lines are means over seeds, bands {several}; those of runs of one seed are {single}."
