"""The files of a report: the page, the same in Markdown, each table in three formats, each figure in two."""

from collections.abc import Sequence
from pathlib import Path

from mmsa_core.report import latex, markdown, page, spreadsheet
from mmsa_core.report.blocks import Picture, Section, Table
from mmsa_core.report.drawing import style
from mmsa_core.run_folder import checkpoint, new_folder


def write(out: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write everything into `out`, or nothing; returns the page."""
    with new_folder.new_folder(out) as made:
        written = _write(made, title, sections)
    return out / written.name


def _write(out: Path, title: str, sections: Sequence[Section]) -> Path:
    blocks = [block for section in sections for block in section.blocks]
    drawn = {block.name: style.render(block.draw) for block in blocks if isinstance(block, Picture)}
    for folder in (out / "tables", out / "figures"):
        folder.mkdir()
    for name, figure in drawn.items():
        checkpoint.write_bytes(out / "figures" / f"{name}.png", figure.png)
        checkpoint.write_bytes(out / "figures" / f"{name}.pdf", figure.pdf)
    for table in (block for block in blocks if isinstance(block, Table)):
        checkpoint.write_text(out / "tables" / f"{table.name}.csv", spreadsheet.table(table))
        checkpoint.write_text(out / "tables" / f"{table.name}.md", markdown.table(table) + "\n")
        checkpoint.write_text(out / "tables" / f"{table.name}.tex", latex.table(table))
    checkpoint.write_text(out / "report.md", markdown.page(title, sections))
    whole = out / "report.html"
    checkpoint.write_text(whole, page.page(title, sections, {name: each.png for name, each in drawn.items()}))
    return whole
