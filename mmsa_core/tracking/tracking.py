"""Where a run is logged: JSON lines always, Weights & Biases when the recipe says so.

A tracker never stops a training: when one fails it is switched off with one warning, and not tried again by the seeds
that follow in this process. The JSON lines are no such tracker: they are part of the run, and a run that cannot be
written is not trained on.
"""

import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from mmsa_core import limits
from mmsa_core.training.progress import Row
from mmsa_core.training.watcher import Watcher

LONGEST = 300
"""Characters of a reason that are shown."""


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
        with limits.named(self.path), self.path.open("rb") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def rewind(self, position: int) -> None:
        """Forget what was written behind a position; of a log that does not reach it, a last line that is torn."""
        if self.path.exists():
            kept = self.path.read_bytes()[:position]
            os.truncate(self.path, kept.rfind(b"\n") + 1)

    def rows(self, rows: list[Row]) -> None:
        """Write rows behind those that are there."""
        text = "".join(json.dumps({k: _number(v) for k, v in row.items()}) + "\n" for row in rows)
        with limits.named(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(text)


def _number(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Switches:
    """Which trackers were switched off in this process, and who is told so."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._off: set[str] = set()

    def attempt(self, name: str, call: Callable[[], None]) -> bool:
        """Make a call to a tracker, unless it is switched off; a failure of any kind switches it off with a warning."""
        if name in self._off:
            return False
        try:
            call()
        except (Exception, SystemExit) as error:
            self._off.add(name)
            reason = " ".join(str(error).split()) or type(error).__name__
            self._warn(f"tracker {name} failed and is switched off; all else goes on ({shortened(reason)})")
            return False
        return True


class Trackers(Watcher):
    """Writes rows into the log of a run, and passes them on to every tracker that works."""

    def __init__(self, log: JsonLines, switches: Switches) -> None:
        self._log, self._switches = log, switches
        self._trackers: dict[str, Tracker] = {}

    def add(self, name: str, make: Callable[[], Tracker]) -> None:
        """Start a tracker, unless it cannot be started."""
        self._switches.attempt(name, lambda: self._trackers.update({name: make()}))

    def begin(self, stage: str, epochs: int, steps: int) -> None:
        self._each(lambda tracker: tracker.begin(stage))

    def rows(self, stage: str, rows: list[Row]) -> None:
        self._log.rows(rows)
        self._each(lambda tracker: tracker.rows(rows))

    def epoch(self, stage: str, row: Row) -> None:
        self.rows(stage, [row])

    def finish(self, results: dict[str, Any]) -> None:
        """Hand over the final results."""
        self._each(lambda tracker: tracker.finish(results))

    def fail(self) -> None:
        """Say that training ended early."""
        self._each(lambda tracker: tracker.fail())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            if not self._switches.attempt(name, partial(call, tracker)):
                del self._trackers[name]
                with suppress(Exception, SystemExit):  # what it holds open is closed where that is still possible
                    tracker.fail()


def shortened(reason: str) -> str:
    """The beginning of a reason; some are pages long."""
    return reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} ..."
