"""Numbers that papers print, beside the runs' own and marked, with what keeps them from being compared."""

from collections.abc import Sequence

from mmsa_core import published_results
from mmsa_core.published_results import MARK, Published
from mmsa_core.report.blocks import Block, Cell, Column, Items, Measured, Row, Section, Table, Text
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading
from mmsa_core.report.spread import metric
from mmsa_core.report.tested import Tested


def section(material: Material) -> Section | None:
    """A table for each data set that papers print numbers of, under the protocols of the report; where asked for."""
    if not material.published:
        return None
    blocks: list[Block] = []
    for tested in material.tested:
        have = tested.values(material.runs[0].name, tested.entries[0])
        by_data: dict[tuple[str, str], list[Published]] = {}
        for row in published_results.beside(tested.protocol.name, list(have)):
            by_data.setdefault((row.data, row.metric), []).append(row)
        for number, rows in enumerate(by_data.values(), start=1):
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
    entries = list(dict.fromkeys(entry for row in rows for entry in row.values))
    own: list[Row] = []
    for run in tested.found:
        cells: list[Cell] = [metric(first.metric, tested.values(run, entry).get(first.metric)) for entry in entries]
        own.append((run, *cells))
    theirs: list[Row] = [(f"{row.method} ({MARK})", *(_printed(row, entry) for entry in entries)) for row in rows]
    columns = (Column("run", "run", numeric=False), *(Column(entry, entry) for entry in entries))
    cited = tuple(dict.fromkeys(f"{row.method}: {row.citation}." for row in rows))
    caption = f"{heading(first.metric)}, beside numbers published for {first.data}, protocol {first.protocol}"
    return Table(f"published-{tested.protocol.name}-{number}", caption, columns, (tuple(own), tuple(theirs)), cited)


def _printed(row: Published, entry: str) -> Cell:
    """What the paper says of a condition; an ablation may say an average only."""
    return Measured(row.values[entry], percent=True) if entry in row.values else None
