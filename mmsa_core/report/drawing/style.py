"""How all figures look: told apart by colour, line and marker, in print and by the colour-blind; and their bytes."""

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Okabe and Ito's, without yellow, which is lost on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1.2)), (0, (5, 1, 1, 1, 1, 1)))
"""Their counts have no common divisor, so that no two of the first 280 look alike."""
GREY = "#6b6b6b"
SETTINGS: Any = {
    "text.parse_math": False,  # a $ in a name starts no formula
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,  # letters stay letters: journals ask for it
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Rendered:
    """One figure as files."""

    png: bytes
    pdf: bytes


def render(draw: Callable[[], Figure]) -> Rendered:
    """Draw a figure and write it at 200 dots per inch and as PDF; equal input makes equal bytes."""
    with look():
        figure = draw()
        return Rendered(
            _saved(figure, format="png", dpi=200, metadata={"Software": None}),
            _saved(figure, format="pdf", metadata={"Creator": None, "Producer": None, "CreationDate": None}),
        )


@contextmanager
def look() -> Iterator[None]:
    """Our settings; a sign that the font lacks is a box, not a warning."""
    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def line(number: int) -> dict[str, Any]:
    """Colour, line and marker of the line with this number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


@dataclass(frozen=True)
class Legend:
    """A legend beneath the panels, where it covers nothing: long names are broken, and it says how high it is."""

    labels: tuple[str, ...]
    columns: int
    height: float
    """Inches."""

    @classmethod
    def of(cls, labels: Sequence[str], width: float) -> "Legend":
        """As many columns as fit in `width` inches."""
        wrapped = tuple(textwrap.fill(label, 34, break_on_hyphens=False) for label in labels)
        letters = max(len(row) for label in wrapped for row in label.splitlines())
        columns = max(1, min(len(labels), int(width / (0.075 * letters + 0.7))))
        down = -(-len(labels) // columns)
        lines = max(label.count("\n") + 1 for label in wrapped)
        return cls(wrapped, columns, 0.15 + down * (0.14 * lines + 0.07))

    def draw(self, figure: Figure, handles: Sequence[Any]) -> None:
        """Put it beneath everything."""
        look = {"frameon": False, "handlelength": 3.2}
        figure.legend(handles, self.labels, loc="outside lower center", ncols=self.columns, **look)


def _saved(figure: Figure, **options: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, **options)
    return content.getvalue()
