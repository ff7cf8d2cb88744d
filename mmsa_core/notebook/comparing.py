"""`mmsa_core.compare`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from mmsa_core.comparison import compare_command, compare_tables
from mmsa_core.devices import pick
from mmsa_core.notebook.run import Run, check_split
from mmsa_core.notebook.screens import display, threads_kept
from mmsa_core.notebook.table import Table


def compare(
    *runs: Run | str | PathLike[str],
    against: Run | str | PathLike[str],
    protocols: Sequence[str] = ("inter", "intra"),
    metrics: Sequence[str] = (),
    split: Literal["valid", "test"] = "test",
    resamples: int = 10_000,
    overrides: Sequence[str] = (),
    device: str = "auto",
    quiet: bool = True,
) -> Table:
    """Which differences from a baseline are distinguishable, as `mmsa compare` says it: a row for each comparison."""
    check_split(split)
    options = compare_command.Options(protocols, metrics, split, resamples, 0, None, overrides)
    folders = [_folder(each) for each in runs]
    with threads_kept():
        found = compare_command.run(folders, _folder(against), options, None, None, pick(device), display(quiet))
    return Table.of(*compare_tables.table(found))


def _folder(run: Run | str | PathLike[str]) -> Path:
    return run.folder if isinstance(run, Run) else Path(run)
