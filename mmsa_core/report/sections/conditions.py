"""Every condition of each protocol, as the field prints it: a row for each run, a column for each condition."""

from collections.abc import Sequence

from mmsa_core.report.blocks import Block, Cell, Column, Row, Section, Table, Text
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading
from mmsa_core.report.sections.main_table import averaged
from mmsa_core.report.spread import metric, plain
from mmsa_core.report.tested import Tested, headline

WIDEST = 9
"""With more conditions than this, conditions are rows and runs are columns."""


def section(material: Material) -> Section:
    """For each protocol a table for each of its metrics: F1, AUC, and what stands beside them."""
    blocks: list[Block] = []
    for tested in material.tested:
        about = " ".join(tested.protocol.about.split())
        blocks.append(Text(f"{tested.protocol.name}: {about}" if about else tested.protocol.name))
        first = tested.values(next(iter(tested.found)), tested.entries[0])
        blocks += [_table(material, tested, name) for name in headline(tested.first, first, tested.protocol.metrics)]
    return Section("Conditions", tuple(blocks))


def _table(material: Material, tested: Tested, name: str) -> Table:
    notes = [note for entry in tested.entries for note in averaged(tested, entry)]
    counts = tested.summaries[next(iter(tested.found))].get("samples_of", {})
    if len(set(counts.values())) > 1:
        notes.append("Samples: " + ", ".join(f"{entry} {count}" for entry, count in counts.items()) + ".")
    title = f"{heading(name)}, protocol {tested.protocol.name}, {material.split} split"
    file = f"{tested.protocol.name}-{name}"
    across = len(tested.entries) <= WIDEST
    predictors = list(
        dict.fromkeys(each for found in tested.references.values() for each, values in found.items() if name in values)
    )
    columns, groups = (by_run if across else by_condition)(tested, name, predictors)
    return Table(file, title, columns, groups, tuple(notes))


def by_run(
    tested: Tested, name: str, predictors: Sequence[str]
) -> tuple[tuple[Column, ...], tuple[tuple[Row, ...], ...]]:
    """Runs in rows, conditions in columns; then the predictors that look at nothing."""
    columns = (Column("run", "run", numeric=False), *(Column(entry, entry) for entry in tested.entries))
    runs = tuple((run, *(_cell(tested, run, entry, name) for entry in tested.entries)) for run in tested.found)
    others = tuple((each, *(_plain(tested, each, entry, name) for entry in tested.entries)) for each in predictors)
    return columns, (runs, others) if others else (runs,)


def by_condition(
    tested: Tested, name: str, predictors: Sequence[str]
) -> tuple[tuple[Column, ...], tuple[tuple[Row, ...], ...]]:
    """Conditions in rows; runs and predictors in columns."""
    runs = list(tested.found)
    columns = (
        Column(tested.protocol.axis, "condition", numeric=False),
        *(Column(each, each) for each in (*runs, *predictors)),
    )
    rows: list[Row] = []
    for entry in tested.entries:
        cells = [_cell(tested, run, entry, name) for run in runs]
        rows.append((entry, *cells, *(_plain(tested, each, entry, name) for each in predictors)))
    return columns, (tuple(rows),)


def _cell(tested: Tested, run: str, entry: str, name: str) -> Cell:
    return metric(name, tested.values(run, entry).get(name))


def _plain(tested: Tested, predictor: str, entry: str, name: str) -> Cell:
    return plain(name, tested.references.get(entry, {}).get(predictor, {}))
