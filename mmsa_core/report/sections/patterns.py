"""Errors by what is observed: the patterns of the data themselves, and what conditions left of each sample."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mmsa_core import data
from mmsa_core.availability import subset
from mmsa_core.evaluation import Evaluated, summarize
from mmsa_core.report.blocks import Block, Cell, Column, Row, Section, Table, Text
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading
from mmsa_core.report.spread import measured, metric
from mmsa_core.report.tested import Tested, headline
from mmsa_core.scores import Scores
from mmsa_core.tasks import ScoreTask

EDGES = (0.0, 0.25, 0.5, 0.75)
"""Where shares of holes are divided; the first bucket is no hole at all."""
NOTHING = "nothing"
Errors = NDArray[np.float64]


def section(material: Material) -> Section:
    """A table of the natural patterns where there are several, and two over all conditions."""
    blocks: list[Block] = []
    if (natural := _natural(material)) is not None:
        blocks.append(natural)
    else:
        has = " + ".join(dict.fromkeys(data.seen(material.tested[0].first.split)))
        blocks.append(
            Text(f"Every sample of the {material.split} split has the same modalities ({has.replace('+', ' + ')}).")
        )
    what = error_name(material.tested[0].first)
    blocks.append(
        Text(
            f"Below, the error is the {what}; each sample counts once for each condition of all protocols of this "
            "report, by what that condition left of it. Rows are of different samples: a short one loses a "
            "modality sooner."
        )
    )
    blocks += [_table(material, "subset", what), _table(material, "holes", what)]
    return Section("Errors by what is observed", tuple(blocks))


def error_name(evaluated: Evaluated) -> str:
    """What is counted as error."""
    return "absolute error of the score" if isinstance(evaluated.task, ScoreTask) else "share of wrong predictions"


def errors(evaluated: Evaluated, scores: Scores, condition: str) -> Errors:
    """The error of each sample under one condition; of several labels, the share of them that is wrong."""
    logits, target, task = scores.answers[condition].logits, scores.target, evaluated.task
    if isinstance(task, ScoreTask):
        found: Errors = (task.score(logits) - target).abs().double().numpy()
        return found
    predicted = task.responses(logits).argmax(dim=2)
    return (predicted != task.categories(target)).double().mean(dim=1).numpy()


def groups(evaluated: Evaluated, scores: Scores, condition: str, by: str) -> list[str]:
    """What was seen of each sample: the modalities, or how large a share of their frames are holes."""
    answers = scores.answers[condition]
    if by == "subset":
        return [subset(code, evaluated.modalities) or NOTHING for code in answers.subset.tolist()]
    return [
        NOTHING if code == 0 else bucket(share)
        for code, share in zip(answers.subset.tolist(), answers.share.tolist(), strict=True)
    ]


def bucket(share: float) -> str:
    """`none`, or the quarter in which a share of holes lies; a quarter is closed on the right."""
    if share == 0:
        return "no holes"
    low = max(edge for edge in EDGES if edge < share)
    return f"{low:.0%} to {low + 0.25:.0%}".replace("%", " %")


def _table(material: Material, by: str, what: str) -> Table:
    cells: dict[str, dict[str, Cell]] = {}
    counts: dict[str, int] = {}
    for run in material.runs:
        per_seed: list[dict[str, list[Errors]]] = [{} for _ in run.seeds]
        for tested in material.tested:
            evaluated = tested.found[run.name]
            for seed, scores in enumerate(evaluated.scores):
                _collect(evaluated, scores, by, per_seed[seed])
        for name in dict.fromkeys(name for found in per_seed for name in found):
            known = [np.concatenate(found[name]) for found in per_seed if name in found]
            counts[name] = max(len(known[0]), counts.get(name, 0))
            cells.setdefault(name, {})[run.name] = measured([float(each.mean()) for each in known])
    order = sorted(cells, key=lambda name: _place(name, material.tested[0].first.modalities, by))
    rows = tuple((name, counts[name], *(cells[name].get(run.name) for run in material.runs)) for name in order)
    title = {
        "subset": "modalities of which a frame is seen",
        "holes": "share of holes between the first and the last frame",
    }[by]
    columns = (
        Column(title, by, numeric=False),
        Column("samples", "samples"),
        *(Column(r.name, r.name) for r in material.runs),
    )
    return Table(f"errors-by-{by}", f"Mean {what}, by {title}", columns, (rows,))


def _collect(evaluated: Evaluated, scores: Scores, by: str, into: dict[str, list[Errors]]) -> None:
    for condition, rows in scores.rows.items():
        found, seen = errors(evaluated, scores, condition), np.array(groups(evaluated, scores, condition, by))
        counted = rows.numpy()
        for name in np.unique(seen[counted]).tolist():
            into.setdefault(name, []).append(found[counted & (seen == name)])


def _place(name: str, modalities: Sequence[str], by: str) -> tuple[int, list[int], str]:
    """The most complete first; nothing last."""
    if name == NOTHING:
        return (1, [], "")
    if by == "subset":
        own = name.split("+")
        return (-len(own), [modalities.index(m) for m in own], "")
    return (0, [], "" if name == "no holes" else name.rjust(20))


def _natural(material: Material) -> Table | None:
    """Headline metrics on complete input by the modalities that samples have; None where all have the same."""
    tested = next((each for each in material.tested if each.complete is not None), None)
    if tested is None or tested.complete is None:
        return None
    seen = data.seen(tested.first.split)
    patterns = sorted(set(seen), key=lambda name: (-name.count("+") if name else 1, name))
    if len(patterns) == 1:
        return None
    rows: list[tuple[Row, ...]] = []
    names = headline(tested.first, tested.values(material.runs[0].name, tested.complete))
    for pattern in patterns:
        rows.append(tuple(_row(tested, run, pattern, seen, names) for run in tested.found))
    columns = (
        Column("run", "run", numeric=False),
        Column("modalities of the sample", "has", numeric=False),
        Column("samples", "samples"),
        *(Column(heading(name), name) for name in names),
    )
    return Table(
        "natural-patterns", f"Complete input by what samples have, {material.split} split", columns, tuple(rows)
    )


def _row(tested: Tested, run: str, pattern: str, seen: Sequence[str], names: Sequence[str]) -> Row:
    evaluated = tested.found[run]
    assert tested.complete is not None
    rows = torch.tensor([each == pattern for each in seen])
    values = [
        evaluated.task.metrics(each.answers[tested.complete].logits[rows], each.target[rows], each.threshold)
        for each in evaluated.scores
    ]
    found = summarize(values)
    return (run, pattern or NOTHING, int(rows.sum()), *(metric(name, found.get(name)) for name in names))
