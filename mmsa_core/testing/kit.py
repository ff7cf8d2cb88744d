"""How checks are run: each over a component's cases, under a label that `mmsa plugin check` shows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

LABELS = {
    "build": "it can be built from its `examples`",
    "finite": "values and gradients are finite and of the right shape, and the student gets a gradient",
    "teacher": "the teacher gets no gradient",
    "order": "the order of samples and modalities does not matter, and a sample alone is what it is in a batch",
    "hidden": "hidden frames and padding do not leak",
    "sizes": "a batch of one, a batch of none, one frame",
    "absent": "an absent modality, an absent category, an absent file",
    "claims": "what the class says of itself is so",
    "shares": "processes that share a batch find what one process finds",
    "dtypes": "every floating type that the device supports",
    "yaml": "the Config comes back from YAML",
    "seed": "the same seed gives the same result, and global random numbers are left alone",
    "device": "tensors are made where the others are",
    "weights": "rebuilt from its saved weights it is the same",
}
"""What is checked; a kind of component has most of them."""

Check = Callable[[Any], str | None]
"""Raises AssertionError with the defect, or returns why it cannot tell."""
Table = Sequence[tuple[str, Check]]


@dataclass(frozen=True)
class Outcome:
    """What one check found in one case; neither a defect nor a note: it holds."""

    label: str
    defect: str | None = None
    note: str | None = None


def run(*parts: tuple[Sequence[Any], Table]) -> Iterator[Outcome]:
    """Tables of checks, each in its cases."""
    for cases, table in parts:
        for label, check in table:
            for case in cases:
                try:
                    yield Outcome(label, note=check(case))
                except AssertionError as defect:
                    yield Outcome(label, defect=str(defect))
                except Exception as error:  # of the component
                    reason = f"{case.who}: fails with {type(error).__name__}: {error}"
                    yield Outcome(label, defect=f"{reason} (while looking whether {LABELS[label]})")


def demand(outcomes: Iterable[Outcome]) -> None:
    """Raise the first defect."""
    for outcome in outcomes:
        if outcome.defect is not None:
            raise AssertionError(outcome.defect)
