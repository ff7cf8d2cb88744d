"""A warning: the trap's name, what was found, what it means and what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["warning", "note"]


@dataclass(frozen=True)
class Warned:
    """One trap that a corpus falls into."""

    trap: str
    """Its name, for scripts."""
    found: str
    means: str
    do: str
    level: Level = "warning"
    """A note is worth knowing; a warning can spoil a result."""
