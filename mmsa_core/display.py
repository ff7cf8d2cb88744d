"""What a person sees: progress while training, and tables. Plain lines where the output is no terminal."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mmsa_core import plain
from mmsa_core.screen import Screen
from mmsa_core.tasks import TaskBase
from mmsa_core.training.progress import Row
from mmsa_core.training.watcher import Watcher

UNDEFINED = "undef."
PLAIN_WIDTH = 180


class Display(Watcher):
    """Shows progress and passes rows on to the trackers."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Screen(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        self.trackers: Watcher = Watcher()
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        self._began = 0.0
        self._warned: set[str] = set()
        self._epochs = 0

    def note(self, message: str) -> None:
        self._line(f"note: {message}")

    def warn(self, message: str) -> None:
        if message not in self._warned:  # once, however many seeds say it
            self._warned.add(message)
            self._line(f"warning: {message}", style="yellow")

    def _line(self, text: str, style: str = "") -> None:
        """A line as it is; only a terminal breaks it, between words."""
        whole = not self.console.is_terminal
        self.console.print(Text(plain.plain(text), style=style), soft_wrap=whole)

    def seed(self, seed: int, seeds: Sequence[int]) -> None:
        """The next seed begins."""
        self.console.print(f"seed {seed} ({seeds.index(seed) + 1} of {len(seeds)})", highlight=False)

    def of_seed(self, seed: int, line: str) -> None:
        """A line that the process of a seed printed."""
        self._line(f"seed {seed} | {line}")

    def begin(self, stage: str, epochs: int, steps: int) -> None:
        self.trackers.begin(stage, epochs, steps)
        self._began, self._epochs = time.perf_counter(), epochs
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bar = self._progress.add_task(stage, total=epochs * steps, speed="")
            self._progress.start()

    def step(self, stage: str) -> None:
        if self._progress is not None and self._bar is not None:
            self._progress.advance(self._bar)

    def rows(self, stage: str, rows: list[Row]) -> None:
        self.trackers.rows(stage, rows)

    def epoch(self, stage: str, row: Row) -> None:
        self.trackers.epoch(stage, row)
        losses = " ".join(f"{n.split('/')[-1]} {v:.3f}" for n, v in row.items() if n.startswith("train/loss/"))
        names = [n for n in ("loss", "f1_non0", "auc_non0", "f1", "auc", "f1_mean", "auc_mean") if f"valid/{n}" in row]
        valid = " ".join(f"{n} {number(row[f'valid/{n}'])}" for n in names)
        text = f"{stage} epoch {row['epoch']}/{self._epochs} | {losses} | valid {valid}{' *' if row['best'] else ''}"
        passed = time.perf_counter() - self._began
        speed = f"{row['step'] / passed:.1f} step/s"
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, speed=speed)
            self._line(text)
        else:
            self._line(f"{text} | {speed}, {passed / row['epoch'] * (self._epochs - row['epoch']):.0f} s left")

    def end(self, stage: str) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def results(self, task: TaskBase, found: Mapping[str, Any]) -> None:
        """The table at the end of a training: validation and test over seeds, beside references."""
        seeds = found["seeds"]
        of = f"mean ± std of {len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
        self.table(
            f"{found['name']}: {of}",
            "condition",
            task,
            found["conditions"],
            {f"test: {name}": row for name, row in found["references"].items()},
        )

    def table(
        self,
        title: str,
        corner: str,
        task: TaskBase,
        rows: Mapping[str, Mapping[str, Any]],
        references: Mapping[str, Mapping[str, float | None]],
        first: Sequence[str] = (),
    ) -> None:
        """Conditions by metrics, the `first` ones and the task's; F1 and AUC in percent as the field prints them."""
        columns = headline(task, rows, first)
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
        table.add_column(corner, no_wrap=True)
        for name in columns:  # a heading of several words can be broken where the terminal is narrow
            table.add_column(name.replace("_", " "), justify="right")
        for label, values in rows.items():
            table.add_row(label, *(cell(name, values.get(name)) for name in columns))
        if references:
            table.add_section()
        for label, values in references.items():
            table.add_row(
                label, *(cell(name, {"mean": values.get(name)}) if name in values else "" for name in columns)
            )
        self.console.print(table)

    def pairs(self, title: str, corner: str, names: Sequence[str], cells: Mapping[tuple[str, str], str]) -> None:
        """A row and a column for each name; a pair of (row, column) without a cell is left empty."""
        self._line(title, style="bold")
        table = Table(box=SIMPLE, pad_edge=False)
        table.add_column(corner, no_wrap=True)
        for name in names:
            table.add_column(name, justify="right")
        for row in names:
            table.add_row(row, *(cells.get((row, column), "") for column in names))
        self.console.print(table)


def headline(task: TaskBase, rows: Mapping[str, Mapping[str, Any]], first: Sequence[str] = ()) -> list[str]:
    """The metrics that a table shows: a protocol's `first`, then the task's; F1 at the validation threshold too.

    F1 never stands alone: beside a protocol's F1 stands what the task says belongs there.
    """
    have = next(iter(rows.values()))
    names: list[str] = []
    calibrated = any(name.endswith("_calibrated") for name in have)
    own = task.calibrated_headline if calibrated else task.headline
    beside = [(name, *(task.beside(name) if name.startswith("f1") else ())) for name in first if name in have]
    for name in dict.fromkeys((*(each for group in beside for each in group), *own)):
        names += [each for each in (name, f"{name}_tuned") if each in have and (each == name or name.startswith("f1"))]
        names += [f"{name}_calibrated"] if f"{name}_calibrated" in have and scale_of(name) != 1 else []
    return names


def cell(name: str, value: Mapping[str, Any] | None) -> str:
    """A mean with its deviation, where there is one."""
    if value is None:
        return ""
    scale = scale_of(name)
    text = number(value["mean"], scale)
    std = value.get("std")
    return f"{text} ± {number(std, scale)}" if std is not None else text


def scale_of(metric: str) -> float:
    """What a metric is multiplied with where it is printed: shares are percent."""
    return 1.0 if metric.removesuffix("_calibrated") in ("mae", "corr", "loss") else 100.0


def number(value: float | None, scale: float = 1.0) -> str:
    """Three significant places of a unit, one decimal of a percentage; undefined values say so."""
    if value is None:
        return UNDEFINED
    return f"{value * scale:.1f}" if scale == 100 else f"{value:.3f}"
