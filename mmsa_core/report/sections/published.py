"""Numbers that papers print, beside the runs' own and marked, with what keeps them from being compared."""

from collections.abc import Sequence

from mmsa_core.evaluation import published_results
from mmsa_core.evaluation.published_results import MARK, Published
from mmsa_core.report.blocks import Block, Cell, Column, Items, Measured, Row, Section, Table, Text
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading
from mmsa_core.report.spread import metric, plain
from mmsa_core.report.tested import Tested


def section(material: Material) -> Section | None:
    """A table for each data set that papers print numbers of, under the protocols of the report; where asked for."""
    if not material.published:
        return None
    blocks: list[Block] = []
    for tested in material.tested:
        have = tested.values(material.runs[0].name, tested.entries[0])
        alike: dict[tuple[str, str, tuple[str, ...]], list[Published]] = {}
        for row in published_results.beside(tested.protocol.name, list(have)):
            alike.setdefault((row.data, row.metric, tuple(row.values)), []).append(row)
        for number, rows in enumerate(alike.values(), start=1):
            blocks += _blocks(tested, number, rows)
    if not blocks:
        names = ", ".join(tested.protocol.name for tested in material.tested)
        blocks.append(Text(f"No published numbers are known for these metrics under {names}."))
    return Section("Published numbers", tuple(blocks))


def _blocks(tested: Tested, number: int, rows: Sequence[Published]) -> list[Block]:
    first = rows[0]
    own = published_results.own(tested.first, first.metric)
    said = (
        f"Rows marked '{MARK}' were not measured here. They are {first.printed_in}. "
        "What differs between them and the runs:"
    )
    return [
        Text(said, "warning"),
        Items(tuple(published_results.differences(first, own))),
        _table(tested, number, rows),
    ]


def _table(tested: Tested, number: int, rows: Sequence[Published]) -> Table:
    first = rows[0]
    entries = list(first.values)
    own: list[Row] = []
    for run in tested.found:
        cells: list[Cell] = [metric(first.metric, tested.values(run, entry).get(first.metric)) for entry in entries]
        own.append((run, *cells))
    theirs: list[Row] = [
        (f"{row.method} ({MARK})", *(Measured(row.values[entry], percent=True) for entry in entries)) for row in rows
    ]
    known = tested.references.get(entries[0], {})
    blind = tuple(
        (each, *(plain(first.metric, tested.references.get(entry, {}).get(each, {})) for entry in entries))
        for each in known
    )
    columns = (Column("run", "run", numeric=False), *(Column(entry, entry) for entry in entries))
    cited = tuple(dict.fromkeys(f"{row.method}: {row.citation}." for row in rows))
    caption = f"{heading(first.metric)}, beside numbers published for {first.data}, protocol {first.protocol}"
    return Table(
        f"published-{tested.protocol.name}-{number}", caption, columns, (tuple(own), blind, tuple(theirs)), cited
    )
