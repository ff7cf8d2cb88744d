"""Every installed component with its owner, from metadata alone: what `mmsa list` prints."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser

from mmsa_core import registry
from mmsa_core.plugins.installed import Claim, Distribution, metadata


@dataclass(frozen=True)
class Row:
    """One claim to a component's name."""

    kind: str
    name: str
    distribution: str
    version: str | None
    summary: str
    """The distribution's own sentence about itself."""
    problem: str | None = None
    """Why it cannot be used, where that is known without importing it."""


def rows() -> Iterator[Row]:
    """By kind, then by name; those that were registered in this process have no distribution."""
    known = metadata()
    summaries = {owner: summary(found) for owner, found in known.distributions.items()}
    for table in (*registry.ALL, registry.importers):
        claims, refused = known.claims[table.group], known.refused[table.group]
        times = Counter(claim.name for claim in claims)
        found = [_row(table.kind, claim, summaries, _clash(times[claim.name])) for claim in claims]
        found += [
            _row(table.kind, claim, summaries, known.distributions[claim.owner].incompatible) for claim in refused
        ]
        found += [Row(table.kind, name, "", None, "registered in this process") for name in table if name not in times]
        yield from sorted(found, key=lambda row: (row.name, row.distribution))


def _row(kind: str, claim: Claim, summaries: dict[str, str], problem: str | None) -> Row:
    owner = metadata().distributions[claim.owner]
    return Row(kind, claim.name, owner.name, owner.version, summaries[claim.owner], problem)


def _clash(times: int) -> str | None:
    return f"claimed by {times} distributions; uninstall all but one" if times > 1 else None


def summary(of: Distribution) -> str:
    """The first line of a distribution's description, or nothing."""
    for name in ("METADATA", "PKG-INFO"):
        try:
            text = (of.folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        return " ".join(str(HeaderParser().parsestr(text, headersonly=True).get("Summary", "")).split())
    return ""
