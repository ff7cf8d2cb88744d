"""How often the test split was looked at: a line in the run folder for each time.

Whoever evaluates a test split writes one, so that a report can say how many evaluations its numbers were picked from.
A line that a power cut tore, or that was altered, still counts: none is lost.
"""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "test_evaluations.jsonl"
TORN = {"what": "a line that cannot be read"}
"""What is known of an evaluation whose line is no JSON object."""


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
    with (folder / FILE).open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        torn = file.read() not in (b"", b"\n")
        file.write(b"\n" * torn + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def count(folder: Path) -> int:
    """How many times the test split was evaluated with the network in the run folder of one seed."""
    return len(entries(folder))


def entries(folder: Path) -> list[dict[str, Any]]:
    """What was noted, in the order in which it happened."""
    path = folder / FILE
    return [_entry(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def _entry(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return TORN
    return found if isinstance(found, dict) else TORN
