"""The report as one HTML page that needs nothing else: style and pictures are in it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmsa_core.report.blocks import Cell, Items, Picture, Section, Table, Text, shown

SHORT = 24
"""Letters that stay on one line."""
SCALE = 110 / 200
"""Of the dots of a figure, so that its letters are as large as the text's."""


@dataclass(frozen=True)
class Image:
    """A picture within the page."""

    source: str
    width: int

    @classmethod
    def of(cls, png: bytes) -> "Image":
        """The whole file, and how wide it is shown; a PNG says its width in bytes 16 to 19."""
        width = int.from_bytes(png[16:20], "big")
        return cls("data:image/png;base64," + base64.b64encode(png).decode(), round(SCALE * width))


def page(title: str, sections: Sequence[Section], pictures: Mapping[str, bytes]) -> str:
    """The page; `pictures` has a PNG for the name of each picture. Everything that comes from a run is escaped."""
    environment = Environment(
        loader=PackageLoader("mmsa_core.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "extent": extent}
    environment.tests |= {
        "text": lambda block: isinstance(block, Text),
        "items": lambda block: isinstance(block, Items),
        "table": lambda block: isinstance(block, Table),
        "picture": lambda block: isinstance(block, Picture),
    }
    inlined = {name: Image.of(png) for name, png in pictures.items()}
    return environment.get_template("page.html").render(title=title, sections=sections, pictures=inlined)


def extent(cell: Cell) -> str:
    """Whether a cell's text may be broken."""
    return "short" if len(shown(cell)) <= SHORT else "long"
