"""How often the test split was looked at: a line in the run folder for each time.

Whoever evaluates a test split writes one, so that a report can say how many evaluations its numbers were picked from.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "test_evaluations.jsonl"


def record(folder: Path, what: str, command: str, conditions: Sequence[str]) -> None:
    """Note in the run folder of one seed that its test split is evaluated.

    Args:
        folder: of one seed.
        what: who does it, such as `train` or the name of a protocol.
        command: as the user gave it.
        conditions: the names of what is evaluated.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"when": when, "command": command, "what": what, "conditions": list(conditions)})
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def count(folder: Path) -> int:
    """How many times the test split was evaluated with the network in the run folder of one seed."""
    path = folder / FILE
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0


def entries(folder: Path) -> list[dict[str, Any]]:
    """What was noted, in the order in which it happened."""
    path = folder / FILE
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
