"""Tables in four formats: what stands in them, and that names are shown and never interpreted."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsa_core.report import latex, markdown, spreadsheet
from mmsa_core.report.blocks import Column, Measured, Table

NASTY = r"<b>a_b</b> 50% & {c}$x^2$ | #1 ~ \n [y] `z`"


def table(name=NASTY, cell=NASTY):
    columns = (Column("run", "run", numeric=False), Column(name, "f1"), Column("MAE, 100 %", "mae"))
    first = (("one", Measured(0.79149, 0.00951, percent=True), Measured(1.0125, None)),)
    second = ((cell, Measured(None, None, percent=True), None), ("three", 7, "text"))
    return Table("main", f"Caption {name}", columns, (first, second), (f"Note {name}",))


def test_cells_are_printed_as_the_field_prints_them():
    assert str(Measured(0.79149, 0.00951, percent=True)) == "79.1 ± 1.0"
    assert str(Measured(1.0125, 0.05)) == "1.012 ± 0.050"
    assert str(Measured(None, None)) == "undef."


def test_csv_has_the_numbers_as_they_are():
    rows = list(csv.reader(io.StringIO(spreadsheet.table(table()))))
    assert rows == [
        ["run", "f1", "f1_std", "mae"],
        ["one", "0.79149", "0.00951", "1.0125"],
        [NASTY, "", "", ""],
        ["three", "7", "", "text"],
    ]


def test_markdown_has_a_cell_for_each_column():
    lines = [line for line in markdown.table(table()).splitlines() if line.startswith("|")]
    assert len(lines) == 5
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 4  # a pipe in a name is none of the table's
    assert lines[1] == "| --- | ---: | ---: |"
    assert r"\<b\>a\_b\</b\> 50% & \{c\}\$x^2\$ \| \#1 \~ \\n \[y\] \`z\`" in lines[3]
    assert lines[2].endswith("| 79.1 ± 1.0 | 1.012 |")


def test_latex_is_balanced():
    found = latex.table(table())
    body = [line.strip() for line in found.splitlines()]
    rows = [line for line in body if line.endswith(r"\\")]
    assert len(rows) == 4
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == 2
    assert (body.count(r"\toprule"), body.count(r"\midrule"), body.count(r"\bottomrule")) == (1, 2, 1)
    assert re.findall(r"\\(?:begin|end)\{(\w+)\}", found) == ["table", "tabular", "tabular", "table"]
    assert r"\begin{tabular}{lrr}" in found
    assert r"one & 79.1 $\pm$ 1.0 & 1.012 \\" in found
    assert r"\textless{}b\textgreater{}a\_b\textless{}/b\textgreater{} 50\% \& \{c\}\$x\textasciicircum{}2\$" in found


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Z"]), max_size=20))
def test_no_text_breaks_latex(text):
    found = latex.escaped(text)
    bare = re.sub(r"\\[{}$&#%_]", "", found)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"[&#%_~^]", bare)
    assert bare.count("$") % 2 == 0


@given(st.text(max_size=20))
def test_no_text_breaks_a_row_of_markdown(text):
    line = markdown.table(table(cell=text)).splitlines()[5]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4


@pytest.mark.parametrize("groups", [(), ((),)])
def test_a_table_without_rows(groups):
    empty = Table("none", "Nothing", (Column("run", "run", numeric=False),), groups)
    assert spreadsheet.table(empty) == "run\n"
    assert markdown.table(empty).splitlines()[-1] == "| --- |"
    assert r"\bottomrule" in latex.table(empty)
