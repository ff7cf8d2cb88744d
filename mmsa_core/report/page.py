"""The report as one HTML page that needs nothing else: style and pictures are in it."""

import base64
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmsa_core.report.blocks import Items, Picture, Section, Table, Text, shown


def page(title: str, sections: Sequence[Section], pictures: Mapping[str, bytes]) -> str:
    """The page; `pictures` has a PNG for the name of each picture. Everything that comes from a run is escaped."""
    environment = Environment(
        loader=PackageLoader("mmsa_core.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.tests |= {
        "text": lambda block: isinstance(block, Text),
        "items": lambda block: isinstance(block, Items),
        "table": lambda block: isinstance(block, Table),
        "picture": lambda block: isinstance(block, Picture),
    }
    inlined = {name: "data:image/png;base64," + base64.b64encode(png).decode() for name, png in pictures.items()}
    return environment.get_template("page.html").render(title=title, sections=sections, pictures=inlined)
