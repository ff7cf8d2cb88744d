"""Tables of the report that a person reads."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmsa_core.inspection.facts import Facts


def by_split(out: Console, title: str, corner: str, facts: Facts, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    table = titled(title, corner, list(facts.rows))
    for label, cells in rows:
        table.add_row(Text(label), *cells)
    put(out, table)


def put(out: Console, table: Table) -> None:
    """A table under its title, which may be wider."""
    out.print()
    out.print(Text(str(table.title), style="bold"))
    table.title = None
    out.print(table)


def titled(title: str, corner: str, headings: Sequence[str], left: Sequence[str] = ()) -> Table:
    table = Table(
        title=title,
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
    )
    table.add_column(corner)
    for heading in headings:
        table.add_column(Text(heading), justify="right")
    for heading in left:
        table.add_column(Text(heading))
    return table
