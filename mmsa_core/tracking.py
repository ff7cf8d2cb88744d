"""Where a run is logged: JSON lines always, Weights & Biases when the recipe says so.

A tracker never stops a training: when one fails it is switched off with one warning.
"""

import json
import math
import os
from collections.abc import Callable
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, Protocol

from mmsa_core.recipe import Recipe, Wandb
from mmsa_core.runner import Row, Watcher


class Tracker(Protocol):
    """A place that rows of numbers go to."""

    def rows(self, rows: list[Row]) -> None:
        """Numbers of some steps or of an epoch; each row has `stage`, `step` and `epoch`."""

    def finish(self, results: dict[str, Any]) -> None:
        """The final results; nothing follows."""


class JsonLines:
    """One JSON object per line: a row per step, and one per epoch (it has `best`)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, rows: list[Row]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({k: _number(v) for k, v in row.items()}) + "\n" for row in rows)

    def finish(self, results: dict[str, Any]) -> None:
        pass


def _number(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class WandbTracker:
    """One W&B run per seed, in a group that bears the experiment's name."""

    def __init__(self, config: Wandb, recipe: Recipe, seed: int, folder: Path, group: str) -> None:
        import wandb

        self.folder = folder
        mode: Any = config.mode
        if mode == "auto":
            mode = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
        self.run = wandb.init(
            project=config.project,
            entity=config.entity,
            group=group,
            name=f"{recipe.name}-{seed}",
            job_type="train",
            tags=[*config.tags],
            config=recipe.model_dump(mode="json") | {"seed": seed},
            dir=str(folder),
            mode=mode,
            settings=wandb.Settings(silent=True, init_timeout=60, x_disable_stats=True),
        )
        for stage in ("teacher", "student"):
            self.run.define_metric(f"{stage}/step")
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    def rows(self, rows: list[Row]) -> None:
        for row in rows:
            self.run.log({f"{row['stage']}/{name}": value for name, value in row.items() if name != "stage"})

    def finish(self, results: dict[str, Any]) -> None:
        import wandb

        for condition, values in results["conditions"].items():
            for name, value in values.items():
                self.run.summary[f"{condition}/{name}"] = value
        columns = sorted({name for values in results["conditions"].values() for name in values})
        data = [[c, *(values.get(name) for name in columns)] for c, values in results["conditions"].items()]
        self.run.log({"results": wandb.Table(columns=["condition", *columns], data=data)})
        pictures = sorted(self.folder.glob("edges-*.png"))
        if pictures:  # edges-TERM-valid.png
            self.run.log({f"edges/{path.stem.split('-')[1]}": wandb.Image(str(path)) for path in pictures})
        self.run.finish()


def _has_key() -> bool:
    """Whether an API key is at hand, in the environment or in ~/.netrc, where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return any("wandb" in host for host in netrc().hosts)
    except (OSError, NetrcParseError):
        return False


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

    def rows(self, stage: str, rows: list[Row]) -> None:
        self._each(lambda tracker: tracker.rows(rows))

    def epoch(self, stage: str, row: Row) -> None:
        self._each(lambda tracker: tracker.rows([row]))

    def finish(self, results: dict[str, Any]) -> None:
        """Hand over the final results."""
        self._each(lambda tracker: tracker.finish(results))

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
