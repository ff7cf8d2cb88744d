"""What a section of a report is made of: text, items, tables and figures, in no format yet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure as Drawn

from mmsa_core.display import UNDEFINED


@dataclass(frozen=True)
class Measured:
    """A number with its standard deviation, where there is one; a mean of None is an undefined metric."""

    mean: float | None
    std: float | None = None
    percent: bool = False
    decimals: int = 3

    def __str__(self) -> str:
        if self.mean is None:
            return UNDEFINED
        text = self._number(self.mean)
        return text if self.std is None else f"{text} ± {self._number(self.std)}"

    def _number(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.percent else f"{value:.{self.decimals}f}"


Cell = str | int | Measured | None
"""None is an empty cell."""
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Column:
    """A heading for people, and a key for scripts that read the CSV."""

    title: str
    key: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows in groups, which a rule divides; the first cell of a row says what the row is of."""

    name: str
    """What its files are called."""
    caption: str
    columns: tuple[Column, ...]
    groups: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()
    folded: bool = False
    """Whether the page shows it on request only: a long table beneath the figure that says the same."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all groups."""
        return tuple(row for group in self.groups for row in group)


@dataclass(frozen=True)
class Picture:
    """A figure, drawn when it is written."""

    name: str
    """What its files are called."""
    caption: str
    alt: str
    """What it shows, for those who do not see it."""
    draw: Callable[[], Drawn]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["plain", "finding", "warning"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


Block = Text | Items | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """Where links lead."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


def shown(cell: Cell) -> str:
    """A cell as a person reads it."""
    return "" if cell is None else str(cell)
