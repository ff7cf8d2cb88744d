"""Facts as short lines of a table: what the text and the pictures call things."""

from itertools import pairwise

from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.labels import Targets
from mmsa_core.inspection.patterns import Pattern


def percent(count: int, of: int) -> str:
    """A count and its share."""
    if not of or not count:
        return f"{count}"
    share = 100 * count / of
    return f"{count} ({share:.0f} %)" if share == 100 or 0.5 <= share < 99.5 else f"{count} ({share:.1f} %)"


def bin_names(targets: Targets) -> list[str]:
    """The bins of scores: whole numbers where the bins are around them, else from and to."""
    edges = targets.edges
    if len(edges) == 8 and edges[0] == -3.5:
        return [f"{(low + high) / 2:+.0f}".replace("+0", "0").replace("-0", "0") for low, high in pairwise(edges)]
    return [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]


def all_patterns(facts: Facts) -> list[Pattern]:
    """The patterns of all splits, the most complete first."""
    order = list(facts.modalities)
    found = {pattern for each in facts.patterns.values() for pattern in each}
    return sorted(found, key=lambda pattern: (-len(pattern), [order.index(m) for m in pattern]))


def number(value: float | None) -> str:
    """A length or a statistic in few digits."""
    return "" if value is None else f"{value:.4g}"


def printable(text: str) -> str:
    """Text of a file as a terminal can show it: what would steer the terminal is written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
