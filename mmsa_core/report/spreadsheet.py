"""Tables for scripts: CSV with numbers as they are, a column of its own for each standard deviation."""

from mmsa_core.report.blocks import Cell, Measured, Table
from mmsa_core.run_folder.checkpoint import csv_text


def table(found: Table) -> str:
    """One row per row; metrics are shares and not percent, and what is undefined or empty is an empty cell."""
    spread = [
        any(isinstance(row[place], Measured) and row[place].std is not None for row in found.rows)  # type: ignore[union-attr]
        for place in range(len(found.columns))
    ]
    header: list[str] = []
    for column, has in zip(found.columns, spread, strict=True):
        header += [column.key, f"{column.key}_std"] if has else [column.key]
    rows = [
        [value for cell, has in zip(row, spread, strict=True) for value in _values(cell, has)] for row in found.rows
    ]
    return csv_text(header, rows)


def _values(cell: Cell, spread: bool) -> list[str | float | None]:
    first = cell.mean if isinstance(cell, Measured) else cell
    return [first, cell.std if isinstance(cell, Measured) else None] if spread else [first]
