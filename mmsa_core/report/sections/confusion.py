"""Confusion matrices: what is taken for what, on complete input and under all other conditions."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.report.blocks import Block, Column, Measured, Picture, Row, Section, Table, Text
from mmsa_core.report.classes import Classes, views
from mmsa_core.report.drawing.matrix import Matrix, matrices
from mmsa_core.report.material import Material
from mmsa_core.report.sections.calibration import inputs

Counts = NDArray[np.int64]


def section(material: Material) -> Section | None:
    """For each run a figure and the counts, of the first protocol."""
    tested = material.tested[0]
    said = (
        f"Protocol {tested.protocol.name}. Each row of a matrix sums to 100 %: of the samples with this truth, how "
        "many are predicted as what; the mean over seeds. A dash is a class that does not occur. "
        "Missing means all conditions that hide something, together."
    )
    blocks: list[Block] = [Text(said)]
    for number, (run, evaluated) in enumerate(tested.found.items(), start=1):
        kinds = inputs(tested, run)
        drawn: list[list[Matrix]] = []
        rows: list[Row] = []
        for view in views(evaluated, material.names):
            drawn.append([])
            for kind, conditions in kinds.items():
                counts = confusion(evaluated, view, conditions)
                drawn[-1].append(Matrix(f"{view.title}, {kind}", view.names, shares(counts).mean(axis=0)))
                rows += _rows(view, kind, counts)
        blocks += [_picture(number, run, drawn), _table(number, run, rows)]
    return Section("Confusion matrices", tuple(blocks))


def confusion(evaluated: Evaluated, view: Classes, conditions: Sequence[str]) -> Counts:
    """Counts [seeds, truth, prediction] over some conditions; samples of no class are left out."""
    size = len(view.names)
    found = np.zeros((len(evaluated.scores), size, size), dtype=np.int64)
    for seed, scores in enumerate(evaluated.scores):
        for condition in conditions:
            rows = scores.rows[condition]
            truth, predicted = view.of(scores.answers[condition].logits[rows], scores.target[rows], scores.threshold)
            np.add.at(found[seed], (truth, predicted), 1)
    return found


def shares(counts: Counts) -> NDArray[np.float64]:
    """Each row divided by its sum; NaN where a class does not occur."""
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = counts / counts.sum(axis=2, keepdims=True)
    return found


def _picture(number: int, run: str, drawn: Sequence[Sequence[Matrix]]) -> Picture:
    return Picture(
        f"confusion-{number}",
        f"Confusion matrices of {run}, shares of each true class in percent.",
        f"Matrices of {run}: {'; '.join(matrix.title for each in drawn for matrix in each)}. "
        "The shares are in the table below.",
        partial(matrices, drawn),
    )


def _rows(view: Classes, kind: str, counts: Counts) -> list[Row]:
    rows: list[Row] = []
    spread = shares(counts)
    for truth, name in enumerate(view.names):
        for predicted, other in enumerate(view.names):
            values = spread[:, truth, predicted]
            known = bool(np.isfinite(values).all())
            std = float(values.std(ddof=1)) if known and len(values) > 1 else None
            cell = Measured(float(values.mean()) if known else None, std, percent=True)
            total = int(counts[:, truth, predicted].sum())
            rows.append((view.title, kind, name, other, total, cell))
    return rows


def _table(number: int, run: str, rows: Sequence[Row]) -> Table:
    columns = (
        Column("classes", "classes", numeric=False),
        Column("input", "input", numeric=False),
        Column("truth", "truth", numeric=False),
        Column("predicted", "predicted", numeric=False),
        Column("count, all seeds", "count"),
        Column("share of the truth, %", "share"),
    )
    return Table(f"confusion-{number}", f"Confusion of {run}", columns, (tuple(rows),), folded=True)
