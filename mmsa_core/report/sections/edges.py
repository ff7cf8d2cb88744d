"""Who teaches whom: the edges that loss terms learned, for runs that have such terms."""

from functools import partial

import numpy as np

from mmsa_core.corpora.batching import to_device
from mmsa_core.edges import edge_report, edges, figures
from mmsa_core.report.blocks import Block, Cell, Column, Picture, Row, Section, Table, Text
from mmsa_core.report.material import Material, Run
from mmsa_core.report.spread import measured


def section(material: Material) -> Section | None:
    """For each term of each run the mean over samples, then over seeds."""
    blocks: list[Block] = []
    for number, run in enumerate(material.runs, start=1):
        for label, per_seed in measure(material, run).items():
            blocks += _blocks(run, number, label, per_seed, material.spread)
    if not blocks:
        return None
    said = (
        "The weight with which the teacher's modality (column) teaches the student's (row), asked of the trained "
        f"students, which see everything; mean over the samples of the {material.split} split, then over seeds. "
        "Weights that are nearly the same everywhere say that the term learned no preference."
    )
    return Section("Learned edges", (Text(said), *blocks))


def measure(material: Material, run: Run) -> dict[str, list[dict[edges.Pair, float]]]:
    """By term: the mean edges of each seed."""
    split = material.tested[0].found[run.name].split
    found: dict[str, list[dict[edges.Pair, float]]] = {}
    for each in run.seeds:
        device = next(each.model.parameters()).device
        terms = edge_report.trained_terms(each, split).to(device)
        for label, weights in edges.measure(each.model, terms, to_device(split, device), each.recipe).items():
            found.setdefault(label, []).append(edges.means(weights))
    return found


def _blocks(run: Run, number: int, label: str, per_seed: list[dict[edges.Pair, float]], spread: str) -> list[Block]:
    names = list(run.recipe.model.encoders)
    pairs = [pair for pair in per_seed[0] if all(pair in each for each in per_seed)]
    means = {pair: float(np.mean([each[pair] for each in per_seed])) for pair in pairs}
    file = f"edges-{number}-{label}"
    rows: list[Row] = []
    for student in names:
        cells: list[Cell] = [
            measured([each[student, teacher] for each in per_seed]) if (student, teacher) in means else None
            for teacher in names
        ]
        rows.append((student, *cells))
    columns = (Column("student ← teacher", "student", numeric=False), *(Column(name, name) for name in names))
    said = "; ".join(f"{student} from {teacher} {mean:.3f}" for (student, teacher), mean in means.items())
    title = f"{run.name}, {label}"
    return [
        Picture(
            file,
            f"Edges of {title}: mean over samples and seeds.",
            f"Heat map: {said}.",
            partial(figures.drawn, title, names, means),
        ),
        Table(file, f"Edges of {title}, {spread}", columns, (tuple(rows),)),
    ]
