"""A table as a dict of columns: `pandas.DataFrame(table)` takes it as it is."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

SHOWN = 10
"""Rows that a notebook shows."""


class Table(dict[str, list[Any]]):
    """Columns by name, all of one length."""

    @classmethod
    def of(cls, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> "Table":
        """A table of rows."""
        listed = list(rows)
        return cls({name: [row[at] for row in listed] for at, name in enumerate(header)})

    @property
    def rows(self) -> Iterator[dict[str, Any]]:
        """One row after the other."""
        return (dict(zip(self, cells, strict=True)) for cells in zip(*self.values(), strict=True))

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(next(iter(self.values()), []))

    def __repr__(self) -> str:
        head = [list(self), *([_cell(value) for value in row.values()] for row in self._first())]
        widths = [max(map(len, column)) for column in zip(*head, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in head]
        return "\n".join([*lines, *self._rest()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self)
        body = ["".join(f"<td>{escape(_cell(value))}</td>" for value in row.values()) for row in self._first()]
        rows = "".join(f"<tr>{cells}</tr>" for cells in [head, *body])
        return f"<table>{rows}</table>{''.join(f'<p>{line}</p>' for line in self._rest())}"

    def _first(self) -> list[dict[str, Any]]:
        return [row for row, _ in zip(self.rows, range(SHOWN), strict=False)]

    def _rest(self) -> list[str]:
        return [f"... {self.height - SHOWN} more of {self.height} rows"] if self.height > SHOWN else []


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
