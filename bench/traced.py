"""The command `mmsa`, which notes what it is doing, so that it is known where a kill fell.

python bench/traced.py FILE ARGUMENT...

FILE holds the moment: `start` until a stage begins, then such as `student step 17`, `write student-000003.state`. Seeds
in processes of their own write into it too: then it is what the last of them began.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTH = 80
FILE = "MMSA_MOMENT"
"""The variable that tells the processes of seeds where the moment is noted."""


class Moments:
    """A file that holds the innermost of what is under way; it outlives a SIGKILL."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        self._under_way: list[str] = []
        self._begun = False

    def _note(self, text: str) -> None:
        self._begun |= "stage" in text
        if self._begun:
            os.pwrite(self._file, text[:WIDTH].ljust(WIDTH).encode(), 0)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """So it is while the block runs."""
        self._under_way.append(what)
        self._note(what)
        try:
            yield
        finally:
            self._under_way.pop()
            self._note(self._under_way[-1] if self._under_way else f"behind {what}")

    def follow(self, owner: Any, name: str, what: Callable[..., str]) -> None:
        """Note every call of a function, by what its arguments say."""
        function = getattr(owner, name)

        def followed(*given: Any, **named: Any) -> Any:
            with self.during(what(*given)):
                return function(*given, **named)

        setattr(owner, name, followed)


def read(path: Path) -> str:
    """The moment that a process was in last; `start` where it had noted none."""
    return (path.read_text().strip() if path.exists() else "") or "start"


def follow(moments: Moments) -> None:
    """Follow the parts of a training."""
    from mmsa_core.run_folder import checkpoint
    from mmsa_core.training import seed_run
    from mmsa_core.training.runner import Trainer

    moments.follow(Trainer, "fit", lambda self, *_: f"{self.stage} stage")
    moments.follow(Trainer, "step", lambda self, *_: f"{self.stage} step {self.progress.steps + 1}")
    moments.follow(Trainer, "validate", lambda self, *_: f"{self.stage} validation, epoch {self.progress.epoch}")
    moments.follow(seed_run, "_evaluate", lambda *_: "evaluation")
    atomic = checkpoint.atomic

    @contextmanager
    def followed(path: Path) -> Iterator[Path]:
        with moments.during(f"write {path.name}"), atomic(path) as temporary:
            yield temporary

    checkpoint.atomic = followed


def main() -> None:
    os.environ[FILE] = sys.argv[1]
    from mmsa_core.cli import main as command

    follow(Moments(Path(sys.argv[1])))
    sys.argv = ["mmsa", *sys.argv[2:]]
    command()


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # the process of a seed imports this file first
    follow(Moments(Path(os.environ[FILE])))
