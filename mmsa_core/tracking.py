"""Where a run is logged: JSON lines always, Weights & Biases when the recipe says so.

A tracker never stops a training: when one fails it is switched off with one warning.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mmsa_core.progress import Row
from mmsa_core.runner import Watcher


class Tracker(Protocol):
    """A place that rows of numbers go to."""

    def begin(self, stage: str) -> None:
        """A stage of training begins: teacher or student."""

    def rows(self, rows: list[Row]) -> None:
        """Numbers of some steps or of an epoch; each row has `stage`, `step` and `epoch`."""

    def finish(self, results: dict[str, Any]) -> None:
        """The final results; nothing follows."""

    def fail(self) -> None:
        """Training ended early; nothing follows."""


class JsonLines:
    """One JSON object per line: a row per step, and one per epoch (it has `best`)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def position(self) -> int:
        """Bytes that were written, all of them safely on disk."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def rewind(self, position: int) -> None:
        """Forget what was written behind a position."""
        if self.path.exists():
            os.truncate(self.path, position)

    def begin(self, stage: str) -> None:
        pass

    def rows(self, rows: list[Row]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({k: _number(v) for k, v in row.items()}) + "\n" for row in rows)

    def finish(self, results: dict[str, Any]) -> None:
        pass

    def fail(self) -> None:
        pass


def _number(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Trackers(Watcher):
    """Passes rows on to every tracker; one that fails is switched off with a warning."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._trackers: list[Tracker] = []

    def add(self, name: str, make: Callable[[], Tracker]) -> None:
        """Start a tracker, unless it cannot be started."""
        try:
            self._trackers.append(make())
        except Exception as error:  # a tracker's failure of any kind must not stop the training
            self._failed(name, error)

    def begin(self, stage: str, epochs: int, steps: int) -> None:
        self._each(lambda tracker: tracker.begin(stage))

    def rows(self, stage: str, rows: list[Row]) -> None:
        self._each(lambda tracker: tracker.rows(rows))

    def epoch(self, stage: str, row: Row) -> None:
        self._each(lambda tracker: tracker.rows([row]))

    def finish(self, results: dict[str, Any]) -> None:
        """Hand over the final results."""
        self._each(lambda tracker: tracker.finish(results))

    def fail(self) -> None:
        """Say that training ended early."""
        self._each(lambda tracker: tracker.fail())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except Exception as error:  # as above
                self._trackers.remove(tracker)
                self._failed(type(tracker).__name__, error)

    def _failed(self, name: str, error: Exception) -> None:
        reason = str(error).strip() or type(error).__name__
        self._warn(f"tracker {name} failed and is switched off; training goes on ({reason})")


def once(warn: Callable[[str], None], call: Callable[[], None]) -> None:
    """Tell a tracker something; a failure of any kind is a warning."""
    try:
        call()
    except Exception as error:  # as above
        warn(f"tracking failed; all else goes on ({str(error).strip() or type(error).__name__})")
