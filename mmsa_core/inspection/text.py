"""The report that a person reads, 80 columns wide: what the file is, what it holds, and what to beware of."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.text_features import closer, modalities, splits
from mmsa_core.inspection.text_samples import classes, missing, probes, scores
from mmsa_core.inspection.traps.warning import Warned
from mmsa_core.inspection.wording import printable
from mmsa_core.screen import Screen

PLAIN_WIDTH = 80


def console() -> Console:
    """As wide as the terminal; what is piped is as wide as a small one."""
    return Screen(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def show(out: Console, name: str, facts: Facts, warned: Sequence[Warned]) -> None:
    """Print the report of one corpus."""
    head(out, name, facts, warned)
    splits(out, facts)
    modalities(out, facts)
    closer(out, facts)
    missing(out, facts)
    scores(out, facts)
    classes(out, facts)
    probes(out, facts)
    for note in facts.notes:
        if " is missing in " not in note:  # the table of patterns says it
            out.print(Text(printable(f"The reader says: {note}")))
    for each in warned:
        one(out, each)


def head(out: Console, name: str, facts: Facts, warned: Sequence[Warned]) -> None:
    looks = facts.looks
    out.print(Text(printable(f"{name}: {looks.schema}" if looks else name), style="bold"))
    rows = dict(looks.details) if looks else {}
    rows |= {"SHA-256": facts.digest, "fingerprint": facts.fingerprint}
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(Text(key), Text(value))
    out.print(table)
    counts = [sum(each.level == level for each in warned) for level in ("warning", "note")]
    said = [
        f"{count} {what}{'' if count == 1 else 's'}" for count, what in zip(counts, ("warning", "note"), strict=True)
    ]
    out.print(
        Text(f"{said[0]} and {said[1]}{', at the end' if any(counts) else ''}", style="yellow" if counts[0] else "")
    )


def one(out: Console, warned: Warned) -> None:
    """A warning: what was found, then what it means and what to do, set in."""
    out.print()
    style = "yellow" if warned.level == "warning" else "bold"
    out.print(Text.assemble((f"{warned.level} {warned.trap}: ", style), printable(warned.found)))
    out.print(Padding(Text(f"{warned.means}\nWhat to do: {warned.do}"), (0, 0, 0, 4)))
