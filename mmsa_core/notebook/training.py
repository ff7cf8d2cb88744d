"""`mmsa_core.train`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.devices import pick
from mmsa_core.notebook.recipe import Given, recipe
from mmsa_core.notebook.run import Run, load_run
from mmsa_core.notebook.screens import display, threads_kept
from mmsa_core.recipes import installed
from mmsa_core.training import experiment


def train(
    given: Given,
    overrides: Sequence[str] = (),
    *,
    out: str | PathLike[str] | None = None,
    corpus: Corpus | None = None,
    jobs: int | None = 1,
    resume: bool = False,
    device: str = "auto",
    quiet: bool = False,
    **changes: Any,
) -> Run:
    """Train and evaluate a recipe for every seed, as `mmsa train` does; see `mmsa_core.recipe` for what it takes.

    Args:
        given: a path, a name, a dict or a `Recipe`.
        overrides: `"train.lr=1e-4"` and the like.
        out: folder for the runs (default: runs/NAME, then runs/NAME-2).
        corpus: data in memory (`mmsa_core.from_arrays`) in place of the recipe's.
        jobs: how many seeds are trained at once, each in a process of its own; None: as many as the cores allow.
        resume: go on with the experiment in `out`.
        device: auto, cpu or cuda.
        quiet: show warnings alone.
        changes: fields of the recipe, `train__lr=1e-4`.

    Raises:
        UserError: for what a user can put right.
        Interrupted: when Ctrl-C (or the notebook's stop button) asked for an end; all that is needed to go on is saved.
    """
    found = recipe(given, overrides, **changes)
    with threads_kept():
        folder = experiment.train(
            found,
            None if out is None else Path(out),
            pick(device),
            "mmsa_core.train",
            display(quiet),
            corpus=corpus,
            processes=jobs,
            resumed=resume,
            origin=installed.origin(Path(given)) if isinstance(given, str | PathLike) else None,
        )
    return load_run(folder, corpus=corpus)
