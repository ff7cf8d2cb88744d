"""Text of others as a terminal may be given it: nothing in it moves the cursor, colours, or turns the reading order."""

from collections.abc import Iterable
from unicodedata import category

TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
"""What changes the direction in which text is shown: a name could look like another one."""
LAYOUT = "\n\t"


def controls(text: str) -> bool:
    """Whether a name has a sign that is no letter but a command; line ends and tabs are such too."""
    return not text.isprintable() and any(category(sign) in ("Cc", "Zl", "Zp") or sign in TURNING for sign in text)


def plain(text: str) -> str:
    r"""The text with such signs written out, as in `\x1b[2J`; line ends and tabs stay."""
    return "".join(map(_written, text)) if controls(text) else text


def first(names: Iterable[str]) -> str | None:
    """The first of some names that has such a sign."""
    return next((name for name in names if controls(name)), None)


def _written(sign: str) -> str:
    return sign.encode("unicode_escape").decode() if sign not in LAYOUT and controls(sign) else sign
