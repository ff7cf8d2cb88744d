"""A distribution's components and what the conformance kit finds of them, as a table."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from unittest import SkipTest

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from mmsa_core.errors import UserError
from mmsa_core.plain import plain
from mmsa_core.screen import Screen
from mmsa_core.testing.kit import LABELS, Outcome
from mmsa_core.testing.registered import Registered, components

PLAIN_WIDTH = 180
HOLDS, FAILS, OPEN = "holds", "fails", "cannot tell"


@dataclass(frozen=True)
class Found:
    """What was found of one component."""

    component: Registered
    outcomes: tuple[Outcome, ...] = ()
    untried: str | None = None
    broken: str | None = None
    """Why it cannot be loaded."""

    cells: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for outcome in self.outcomes:
            mark = FAILS if outcome.defect else OPEN if outcome.note else HOLDS
            before = self.cells.get(outcome.label, HOLDS)
            self.cells[outcome.label] = before if mark == HOLDS or before == FAILS else mark

    @property
    def conforms(self) -> bool:
        return self.broken is None and FAILS not in self.cells.values()

    def lines(self) -> Iterator[str]:
        """Each defect and each open question once, the first of its check."""
        who = f"{self.component.table.kind} '{self.component.name}'"
        for text in (self.broken, self.untried and f"not tried: {self.untried}"):
            if text:
                yield f"{who}: {text}"
        told = set()
        for outcome in self.outcomes:
            text = outcome.defect or outcome.note
            if text and (outcome.label, bool(outcome.defect)) not in told:
                told.add((outcome.label, bool(outcome.defect)))
                yield f"{who}: {outcome.label}: {text}"


def found(component: Registered) -> Found:
    """Try one component, whatever it does."""
    try:
        return Found(component, tuple(component.outcomes()))
    except SkipTest as reason:
        return Found(component, untried=str(reason))
    except UserError as error:
        return Found(component, broken=str(error))


def check(distribution: str, screen: Screen) -> bool:
    """Print the table; whether all components conform."""
    logging.getLogger("mmsa").setLevel(logging.ERROR)  # what components say of unusual sizes is not asked here
    tried = [found(component) for component in components(distribution)]
    screen.print(table(tried))
    for each in tried:
        for line in each.lines():
            screen.print(Text(plain(line)), soft_wrap=not screen.is_terminal)
    failing = [each for each in tried if not each.conforms]
    untried = sum(each.untried is not None for each in tried)
    rest = f"; {untried} not tried" if untried else ""
    screen.print(Text(f"{len(tried) - len(failing) - untried} of {len(tried)} components conform{rest}"))
    return not failing


def table(tried: Sequence[Found]) -> Table:
    """Of each component, the checks that hold, those that fail, and those that cannot tell."""
    made = Table(title=tried[0].component.owner, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    made.add_column("component", no_wrap=True)
    for heading in (HOLDS, FAILS, OPEN):
        made.add_column(heading)
    for each in tried:
        marked = [[label for label in LABELS if each.cells.get(label) == mark] for mark in (HOLDS, FAILS, OPEN)]
        cells = ["broken", "", ""] if each.broken else ["not tried", "", ""] if each.untried else map(" ".join, marked)
        made.add_row(f"{each.component.table.kind} {each.component.name}", *cells)
    return made
