"""Equations written in LaTeX become MathML, which browsers show by themselves."""

import html
import re

from latex2mathml.converter import convert

WRITTEN = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)
ROLE = re.compile(r":math:`(.+?)`", re.S)
DIRECTIVE = re.compile(r"^( *)\.\. math::(.*?)(?=\n *\n(?! *\n)(?!\1 +\S)|\n\1(?! )\S|\Z)", re.M | re.S)


def rendered(page: str) -> str:
    """A page of HTML whose equations, marked by the Markdown extension arithmatex, are MathML."""
    return WRITTEN.sub(_one, page)


def _one(found: re.Match[str]) -> str:
    display = "block" if found[2] == "[" else "inline"
    made = str(convert(html.unescape(found[3]).strip(), display=display))
    return f'<div class="equation">{made}</div>' if display == "block" else made


def from_docstring(text: str) -> str:
    """Roles and directives of reStructuredText as the dollars of Markdown."""
    text = DIRECTIVE.sub(
        lambda m: f"\n$$\n{' '.join(line.strip() for line in m[2].split(chr(10)) if line.strip())}\n$$\n", text
    )
    return ROLE.sub(lambda m: f"${' '.join(m[1].split())}$", text)
