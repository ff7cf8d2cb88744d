"""A report in Markdown (tables as GitHub has them); whatever a name holds is shown, not interpreted."""

import re
from collections.abc import Iterable

from mmsa_core.report.blocks import Block, Items, Picture, Section, Table, Text, shown

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def page(title: str, sections: Iterable[Section]) -> str:
    """All sections; pictures are links into the folder `figures`."""
    parts = [f"# {escaped(title)}"]
    for section in sections:
        parts += [f"## {escaped(section.title)}", *map(block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def block(found: Block) -> str:
    """One block of a section."""
    match found:
        case Text(text, kind):
            return f"**{kind.capitalize()}:** {escaped(text)}" if kind == "warning" else escaped(text)
        case Items(items):
            return "\n".join(f"- {escaped(item)}" for item in items)
        case Picture():
            return f"![{escaped(found.alt)}](figures/{found.name}.png)\n\n*{escaped(found.caption)}*"
        case Table():
            return table(found)


def table(found: Table) -> str:
    """Caption, table and notes; numbers are aligned to the right."""
    lines = [f"**{escaped(found.caption)}**", ""]
    lines.append(_line(column.title for column in found.columns))
    lines.append("|" + "|".join(" ---: " if column.numeric else " --- " for column in found.columns) + "|")
    lines += [_line(map(shown, row)) for row in found.rows]
    if found.notes:
        lines += ["", *(f"- {escaped(note)}" for note in found.notes)]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"
