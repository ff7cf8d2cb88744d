"""What mutated input is made of and tried with: one recipe, the commands of mmsa, and a count of what came of them."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from mmsa_core.cli import main

ENCODER = {"name": "transformer", "layers": 1, "heads": 2}
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "seeds": [1],
    "threads": 1,
    "data": {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]},
    "task": {"kind": "bins", "classes": 7},
    "model": {
        "dim": 8,
        "encoders": {"text": ENCODER, "audio": {"name": "recurrent"}, "vision": ENCODER},
        "fusion": {"name": "concat"},
    },
    "teacher": {"kind": "trained"},
    "masker": {"name": "corrkd.missing"},
    "distillers": {"scd": {"name": "corrkd.scd", "weight": 0.5}, "kd": {"name": "kd", "temperature": 2.0}},
    "train": {"epochs": 1, "batch_size": 8, "lr": 0.001},
    "evaluate": {"seed": 0, "batch_size": 16},
}


@dataclass
class Tried:
    """What came of inputs."""

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)

    def add(self, outcome: str, defect: str | None = None) -> None:
        """One more input."""
        self.count += 1
        self.outcomes[outcome if defect is None else "defect"] += 1
        if defect is not None:
            self.defects.append(defect)

    def __str__(self) -> str:
        return f"{self.count} tried: " + ", ".join(f"{name} {n}" for name, n in sorted(self.outcomes.items()))


@contextmanager
def place() -> Iterator[Path]:
    """A folder of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mmsa-hostile-") as name:
        yield Path(name)


def run(*arguments: Any) -> Result:
    """One command; its exception, if any, is in the result."""
    return CliRunner().invoke(main, list(map(str, arguments)))


def defect(result: Result, codes: tuple[int, ...] = (0, 2)) -> str | None:
    """Why an answer is none that a user should get, whose exit code is one of these."""
    raised = result.exception
    if raised is not None and not isinstance(raised, SystemExit):
        return f"{type(raised).__name__}: {str(raised)[:300]}"
    if result.exit_code not in codes:
        return f"exit code {result.exit_code}"
    if result.exit_code == 2 and "error:" not in result.output.lower():
        return f"no message: {result.output[-300:]!r}"
    if "Traceback" in result.output or any(sign in result.output for sign in "\x1b\x00\u202e"):
        return f"a traceback or a control character: {result.output[-300:]!r}"
    return None
