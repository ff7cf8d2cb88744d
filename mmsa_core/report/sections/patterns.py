"""Errors by what is observed: the patterns of the data themselves, and what conditions left of each sample."""

from collections.abc import Sequence

import numpy as np

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.evaluation.scores import Scores
from mmsa_core.report.blocks import Block, Cell, Column, Section, Table, Text
from mmsa_core.report.material import Material
from mmsa_core.report.observed import NOTHING, Errors, error_name, errors, groups
from mmsa_core.report.sections.natural import natural_patterns
from mmsa_core.report.spread import measured


def section(material: Material) -> Section:
    """The natural patterns, then two tables over all conditions."""
    blocks: list[Block] = [natural_patterns(material)]
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
    asked = [evaluated for each in material.tested for evaluated in each.found.values()]
    modalities = list(dict.fromkeys(modality for evaluated in asked for modality in evaluated.modalities))
    order = sorted(cells, key=lambda name: _place(name, modalities, by))
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
