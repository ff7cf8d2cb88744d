"""The table of a folder data set, a CSV or a Parquet file: cells as text, each with its place for messages."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core import registry
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE
from mmsa_core.datasets.parts import Array
from mmsa_core.errors import UserError

RATIO, FLOOR = 100, 1 << 20
"""A Parquet file may have so many cells, and characters in them, for each of its bytes, and at least so many."""
BATCH = 64
"""Rows that are unpacked at once."""

FITS: dict[str, tuple[str, Callable[[float], bool]]] = {
    SCORE: ("a number", math.isfinite),
    LABEL: (
        "a class number from 0, or names in all cells that data.classes lists",
        lambda x: x.is_integer() and 0 <= x < 2**31,
    ),
    LABELS: ("0 or 1", lambda x: x in (0, 1)),
}
"""What the cells of a kind of target must be."""


@dataclass(frozen=True)
class Table:
    """Columns of text; an empty cell is an empty string."""

    path: Path
    columns: dict[str, list[str]]
    lines: Sequence[int]
    """Where each row stands in the file: its line in a CSV (from 1), its row in a Parquet file (from 0)."""

    @property
    def unit(self) -> str:
        return "row" if self.path.suffix == ".parquet" else "line"

    def column(self, name: str, key: str) -> list[str]:
        """A column that the recipe's `key` names."""
        if name not in self.columns:
            raise UserError(
                f"{self.path}: no column '{name}', which {key} names; columns: {', '.join(self.columns)}."
                f"{registry.suggestions(name, list(self.columns))}"
            )
        return self.columns[name]

    def place(self, row: int, column: str) -> str:
        """File, line and column of a cell."""
        return f"{self.path}, {self.unit} {self.lines[row]}, column '{column}'"

    def numbers(self, column: str, key: str, rows: Sequence[int], kind: str) -> Array:
        """The cells of a column as numbers that a target of a kind (score, label, labels) can have."""
        cells, (expected, fits) = self.column(column, key), FITS[kind]
        found = np.empty(len(rows))
        for at, row in enumerate(rows):
            try:
                found[at] = float(cells[row])
            except ValueError:
                found[at] = math.nan
            if not fits(found[at]) or not cells[row]:
                raise UserError(f"{self.place(row, column)}: expected {expected}, found {cells[row]!r:.80}")
        return found


def read(path: Path, content: bytes) -> Table:
    """The table of a file's bytes."""
    return _parquet(path, content) if path.suffix == ".parquet" else _csv(path, content)


def _csv(path: Path, content: bytes) -> Table:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        rows, lines = [], []
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 ({error})") from error
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a CSV table ({error})") from error
    if len(set(header)) != len(header) or not header:
        raise UserError(
            f"{path}: the first line must name every column once; found {', '.join(header)[:200] or 'nothing'}"
        )
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} cells, but the first line names {len(header)} columns")
    return Table(path, {name: [row[at].strip() for row in rows] for at, name in enumerate(header)}, lines)


def _parquet(path: Path, content: bytes) -> Table:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(f"{path}: Parquet needs pyarrow ({error}): pip install 'mmsa-core[parquet]'") from error
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        claimed = file.metadata.num_rows * file.metadata.num_columns
        groups = (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups))
        if max(claimed, sum(group.total_byte_size for group in groups)) > max(RATIO * len(content), FLOOR):
            raise UserError(f"{path}: claims far more content than its {len(content)} bytes can hold, which is refused")
        names: list[str] = file.schema_arrow.names
        cells: list[list[str]] = [[] for _ in names]
        left = max(RATIO * len(content), FLOOR)
        for batch in file.iter_batches(BATCH):
            for texts, column in zip(cells, batch.columns, strict=True):
                texts += [_text(cell) for cell in column.to_pylist()]
                left -= sum(map(len, texts[-len(column) :]))
            if left < 0:
                raise UserError(f"{path}: its {len(content)} bytes unpack to too much text, which is refused")
    except UserError:
        raise
    except Exception as error:  # pyarrow raises many kinds at broken bytes
        raise UserError(
            f"{path}: not a whole Parquet file ({type(error).__name__}: {error!s:.200}). Write it again."
        ) from error
    if len(set(names)) != len(names) or not names:
        raise UserError(f"{path}: expected columns, each once; found {', '.join(names)[:200] or 'none'}")
    return Table(path, dict(zip(names, cells, strict=True)), range(len(cells[0])))


def _text(cell: Any) -> str:
    empty = cell is None or (isinstance(cell, float) and math.isnan(cell))
    return "" if empty else str(cell).strip()
