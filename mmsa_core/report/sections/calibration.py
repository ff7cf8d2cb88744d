"""How sure predictions are, and how often they are right: reliability diagrams and the expected calibration error."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.report.blocks import Cell, Column, Picture, Row, Section, Table, Text
from mmsa_core.report.drawing.reliability import Curve, diagrams
from mmsa_core.report.material import Material
from mmsa_core.report.spread import measured
from mmsa_core.report.tested import Tested
from mmsa_core.tasks import IGNORE, Regression

BINS = 10
FEWEST = 10
"""A bin of fewer predictions has no share worth a point."""
Sure = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""The probability of the predicted class, and whether it is the true one."""


def section(material: Material) -> Section | None:
    """A diagram for each run that predicts classes: complete input, and all other conditions together."""
    tested = material.tested[0]
    found = {run: each for run, each in tested.found.items() if not isinstance(each.task, Regression)}
    if not found:
        return None
    by_run = {run: _by_input(tested, run, each) for run, each in found.items()}
    curves = {
        run: {kind: drawn(reliability(pooled(seeds))) for kind, seeds in by.items()} for run, by in by_run.items()
    }
    picture = Picture(
        "calibration",
        f"Reliability, protocol {tested.protocol.name}, all seeds together: below the dashed line predictions are too "
        f"sure. The larger a marker, the more predictions; bins with fewer than {FEWEST} are not drawn.",
        f"Share of right predictions over their confidence, a panel for each of {', '.join(found)}.",
        partial(diagrams, curves),
    )
    left_out = [run for run in tested.found if run not in found]
    said = "The confidence of a prediction is the probability of its class."
    if left_out:
        said += f" Left out, since a regression gives no probabilities: {', '.join(left_out)}."
    return Section("Calibration", (Text(said), _table(material, by_run), picture))


def _table(material: Material, by_run: Mapping[str, Mapping[str, Sequence[Sure]]]) -> Table:
    kinds = list(dict.fromkeys(kind for by in by_run.values() for kind in by))
    rows: list[Row] = []
    for run, by in by_run.items():
        cells: list[Cell] = [measured([error(each) for each in by[kind]]) if kind in by else None for kind in kinds]
        rows.append((run, *cells))
    columns = (Column("run", "run", numeric=False), *(Column(f"ECE, {kind}", f"ece_{kind}") for kind in kinds))
    name = material.tested[0].protocol.name
    note = f"Protocol {name}; {BINS} bins of equal width; 0 is calibrated, 1 is the worst."
    return Table("calibration", f"Expected calibration error, {material.spread}", columns, (tuple(rows),), (note,))


def _by_input(tested: Tested, run: str, evaluated: Evaluated) -> dict[str, list[Sure]]:
    """By kind of input the predictions of each seed."""
    seeds = range(len(evaluated.scores))
    return {kind: [sure(evaluated, seed, names) for seed in seeds] for kind, names in inputs(tested, run).items()}


def inputs(tested: Tested, run: str) -> dict[str, list[str]]:
    """A run's complete input, and the conditions that hide something."""
    whole = tested.wholes[run]
    hidden = [name for name in tested.found[run].protocol.conditions if name != whole]
    complete = {"complete": [whole]} if whole is not None else {}
    return complete | ({"missing": hidden} if hidden else {})


def sure(evaluated: Evaluated, seed: int, conditions: Sequence[str]) -> Sure:
    """Confidence and rightness of every prediction of one seed that has a true class."""
    scores, task = evaluated.scores[seed], evaluated.task
    confidences, rights = [], []
    for condition in conditions:
        rows = scores.rows[condition]
        confidence, predicted = (
            task.responses(scores.answers[condition].logits[rows]).double().softmax(dim=2).max(dim=2)
        )
        truth = task.categories(scores.target[rows])
        kept = truth != IGNORE
        confidences.append(confidence[kept].numpy())
        rights.append((predicted == truth)[kept].numpy())
    return np.concatenate(confidences), np.concatenate(rights)


def pooled(found: Sequence[Sure]) -> Sure:
    """The predictions of several seeds together."""
    return np.concatenate([each for each, _ in found]), np.concatenate([each for _, each in found])


def reliability(found: Sure) -> Curve:
    """Mean confidence, share that is right, and count, in bins of equal width, closed on the right."""
    confidence, right = found
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=confidence, minlength=BINS) / count
        share = np.bincount(place, weights=right, minlength=BINS) / count
    return mean, share, count


def drawn(found: Curve) -> Curve:
    """The bins that hold enough predictions."""
    confidence, right, count = found
    return confidence, right, np.where(count < FEWEST, 0, count)


def error(found: Sure) -> float | None:
    """Expected calibration error (Guo et al., ICML 2017): mean |share right - confidence|, by the bins' counts."""
    mean, share, count = reliability(found)
    used = count > 0
    return float((np.abs(share - mean)[used] * count[used]).sum() / count.sum()) if used.any() else None
