"""Metrics on complete input by the modalities that samples have in the data themselves."""

from collections.abc import Sequence

import torch

from mmsa_core.corpora import data
from mmsa_core.evaluation.evaluation import summarize
from mmsa_core.report.blocks import Block, Column, Row, Table, Text
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading
from mmsa_core.report.observed import NOTHING
from mmsa_core.report.spread import metric
from mmsa_core.report.tested import Tested, headline


def natural_patterns(material: Material) -> Block:
    """A table, or a sentence where all samples have the same modalities or no protocol asks for complete input."""
    seen = {run: data.seen(found.split) for run, found in material.tested[0].found.items()}
    patterns = sorted(
        {name for each in seen.values() for name in each}, key=lambda name: (-name.count("+") if name else 1, name)
    )
    if all(len(set(each)) == 1 for each in seen.values()):
        same = " or ".join(name.replace("+", " + ") for name in patterns)
        return Text(f"Every sample of the {material.split} split has the same modalities ({same}).")
    tested = next((each for each in material.tested if each.complete is not None), None)
    if tested is None or tested.complete is None:
        return Text("Samples have different modalities, but no protocol of this report asks for complete input.")
    names = headline(tested.first, tested.values(material.runs[0].name, tested.complete))
    groups = tuple(tuple(_row(tested, run, pattern, seen[run], names) for run in tested.found) for pattern in patterns)
    columns = (
        Column("run", "run", numeric=False),
        Column("modalities of the sample", "has", numeric=False),
        Column("samples", "samples"),
        *(Column(heading(name), name) for name in names),
    )
    caption = f"Complete input by what samples have, {material.split} split, {material.spread}"
    return Table("natural-patterns", caption, columns, groups)


def _row(tested: Tested, run: str, pattern: str, seen: Sequence[str], names: Sequence[str]) -> Row:
    evaluated = tested.found[run]
    condition = tested.wholes[run]
    assert condition is not None
    rows = torch.tensor([each == pattern for each in seen])
    values = [
        evaluated.task.metrics(each.answers[condition].logits[rows], each.target[rows], each.threshold)
        for each in evaluated.scores
    ]
    found = summarize(values)
    return (run, pattern or NOTHING, int(rows.sum()), *(metric(name, found.get(name)) for name in names))
