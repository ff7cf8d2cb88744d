"""What parts of a sweep contradict each other: comparisons that would be none, and values that no trial could have."""

from collections.abc import Iterator

from mmsa_core.sweeps.space import Float, Int
from mmsa_core.sweeps.sweep import Grid, Sweep

FIXED = ("name", "seeds", "evaluate", "log", "save", "track")
"""Sections that decide nothing about a network, or how it is judged."""
Contradiction = tuple[tuple[str, ...], str]
"""The key where it shows, and what is wrong."""


def found(sweep: Sweep) -> Iterator[Contradiction]:
    """All of them."""
    yield from _of_keys(list(sweep.space))
    yield from _of_objective(sweep)
    yield from _of_sampler(sweep)


def _of_keys(keys: list[str]) -> Iterator[Contradiction]:
    for key in keys:
        if _section(key) in FIXED:
            yield ("space", key), "it decides nothing about a network, or how it is judged; leave it out"
        if (outer := next((other for other in keys if key.startswith(f"{other}.")), None)) is not None:
            yield ("space", key), f"it lies within {outer}; give one of them, with whole sections as choices"


def _of_objective(sweep: Sweep) -> Iterator[Contradiction]:
    metric, under = sweep.objective.metric, sweep.objective.under
    for key in sweep.space:
        if _section(key) == "masker" and under == "masks":
            yield (
                ("space", key),
                "it changes the masks that the objective is measured under, so that trials are not compared on the "
                "same; set objective: {under: complete, metric: ...}",
            )
        if _section(key) == "task" and metric == "loss":
            yield ("space", key), "it changes what the loss is; name another objective.metric"
    if under == "complete" and metric == "loss":
        yield ("objective", "metric"), "under complete data metrics are measured, and not the loss; name one"
    if under == "complete" and sweep.pruner.kind != "none":
        yield ("pruner",), "epochs are validated under the masks, which objective.under: complete is not; remove it"


def _of_sampler(sweep: Sweep) -> Iterator[Contradiction]:
    if not isinstance(sweep.sampler, Grid):
        if sweep.trials is None:
            yield ("trials",), "required, unless sampler.kind is grid"
        return
    for key, dimension in sweep.space.items():
        if isinstance(dimension, Float) and dimension.step is None:
            yield ("space", key), "a grid needs a step, or choices"
        if isinstance(dimension, Int) and dimension.log:
            yield ("space", key), "a grid knows no log; give the values as choices"


def _section(key: str) -> str:
    return key.split(".")[0]
