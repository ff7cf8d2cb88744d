"""The page: it parses, needs nothing from outside, can be read by everybody, and shows names as they are."""

import base64
import re

from matplotlib.figure import Figure

from mmsa_core.report import page
from mmsa_core.report.blocks import Column, Items, Measured, Picture, Section, Table, Text

NASTY = "<script>alert('x')</script> & \"q\" _a_ %"
TABLE = Table(
    "main",
    NASTY,
    (Column("run", "run", numeric=False), Column(NASTY, "f1")),
    (((NASTY, Measured(0.5, 0.1, percent=True)),), (("b", Measured(None)),)),
    (NASTY,),
)
SECTIONS = (
    Section(NASTY, (Text(NASTY, "warning"), Items((NASTY,)), TABLE, Picture("curves", NASTY, f"alt {NASTY}", Figure))),
    Section("Second", (Text("plain"),)),
)


def found():
    return page.page(NASTY, SECTIONS, {"curves": b"\x89PNG"})


def test_it_parses_and_shows_names_as_they_are(read):
    shown = read(found())
    assert shown.all("script") == []
    assert "".join(shown.text).count(NASTY) == 11
    assert shown.tables["table-main"] == [["run", NASTY], [NASTY, "50.0 ± 10.0"], ["b", "undef."]]


def test_it_needs_nothing_from_outside(read):
    text = found()
    shown = read(text)
    assert shown.all("link") == shown.all("iframe") == shown.all("object") == []
    for _, attributes in shown.elements:
        for name in ("src", "href", "data", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    (image,) = shown.all("img")
    assert base64.b64decode(image["src"].partition(",")[2]) == b"\x89PNG"


def test_everybody_can_read_it(read):
    shown = read(found())
    assert shown.all("html") == [{"lang": "en"}]
    assert len(shown.all("h1")) == 1
    assert [a["alt"] for a in shown.all("img")] == [f"alt {NASTY}"]
    assert len(shown.all("caption")) == len(shown.all("table")) == 1
    assert {a["scope"] for a in shown.all("th")} == {"row", "col"}
    anchors = {a["href"] for a in shown.all("a")}
    assert anchors == {f"#{a['id']}" for a in shown.all("h2")}
    assert all(not re.search(r"[\s<>\"]", anchor) for anchor in anchors)


def test_equal_input_makes_equal_bytes():
    assert found() == found()
