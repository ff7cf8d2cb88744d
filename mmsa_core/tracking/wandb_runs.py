"""Runs at Weights & Biases: what they are called, the id by which they go on, and what files become there.

An experiment is a group; a teacher, a student, an evaluation and the summary over seeds are runs in it, told apart by
their job type.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmsa_core.recipes.recipe import Recipe, Wandb
from mmsa_core.run_folder import checkpoint
from mmsa_core.tracking import wandb_mode

IDS = "wandb.json"
"""In a run folder: the id of each of its runs, by job type."""

WAITS = {"login_timeout": 60.0, "init_timeout": 60.0, "finish_timeout": 60.0}
"""Seconds for a key at a terminal, for a run to begin, and for what it was told to be sent when it ends. What was not
sent by then stays in the run folder, for `wandb sync`."""


def start(config: Wandb, recipe: Recipe, folder: Path, group: str, job: str, seed: int | None = None) -> Any:
    """Start the run of one job, or go on with the one that the folder knows."""
    import wandb

    wandb.setup(settings=wandb.Settings(**{name: s for name, s in bounds().items() if name == "login_timeout"}))
    name = "-".join(map(str, [recipe.name, *([] if seed is None else [seed]), job]))
    return wandb.init(
        project=config.project,
        entity=config.entity,
        group=config.group or group,
        name=name,
        job_type=job,
        tags=[*config.tags],
        config=recipe.model_dump(mode="json") | ({} if seed is None else {"seed": seed}),
        dir=str(folder),
        mode=wandb_mode.mode(config.mode),  # type: ignore[arg-type]
        id=_id(folder, job),
        resume="allow",
        reinit="create_new",  # a run that is open in this process, such as a notebook's own, stays as it is
        settings=wandb.Settings(silent=True, x_disable_stats=True, **bounds()),
    )


def bounds() -> dict[str, Any]:
    """How long W&B may keep us waiting where its own variables (WANDB_INIT_TIMEOUT, ...) say nothing."""
    return {name: seconds for name, seconds in WAITS.items() if f"WANDB_{name.upper()}" not in os.environ}


def artifact(run: Any, name: str, kind: str, files: Sequence[Path], about: Mapping[str, Any]) -> None:
    """Hand files over as an artifact; they are read where they lie, and not copied."""
    import wandb

    made = wandb.Artifact(name, type=kind, metadata=dict(about))
    for path in files:
        made.add_file(str(path.absolute()), name=path.name, policy="immutable")
    run.log_artifact(made)


def table(rows: Mapping[str, Mapping[str, Any]], corner: str) -> Any:
    """A row for each name, a column for each metric that any of them has."""
    import wandb

    columns = list(dict.fromkeys(name for values in rows.values() for name in values))
    return wandb.Table(
        columns=[corner, *columns], data=[[name, *map(values.get, columns)] for name, values in rows.items()]
    )


def _id(folder: Path, job: str) -> str:
    """The id of a job's run: made once, then kept in the folder."""
    path = folder / IDS
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if job not in known:
        known[job] = uuid4().hex[:12]
        checkpoint.write_json(path, known)
    return known[job]
