"""Runs at Weights & Biases: what they are called, the id by which they go on, and what files become there.

An experiment is a group; a teacher, a student, an evaluation and the summary over seeds are runs in it, told apart by
their job type.
"""

import json
import os
from collections.abc import Mapping, Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmsa_core import checkpoint
from mmsa_core.recipe import Recipe, Wandb

IDS = "wandb.json"
"""In a run folder: the id of each of its runs, by job type."""


def start(config: Wandb, recipe: Recipe, folder: Path, group: str, job: str, seed: int | None = None) -> Any:
    """Start the run of one job, or go on with the one that the folder knows."""
    import wandb

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
        mode=_mode(config),
        id=_id(folder, job),
        resume="allow",
        settings=wandb.Settings(silent=True, init_timeout=60, x_disable_stats=True),
    )


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


def carry(old: Path, new: Path) -> None:
    """Let a folder's runs, if it has any, go on in a new folder."""
    if (old / IDS).is_file():
        new.mkdir()
        checkpoint.write_bytes(new / IDS, (old / IDS).read_bytes())


def _id(folder: Path, job: str) -> str:
    """The id of a job's run: made once, then kept in the folder."""
    path = folder / IDS
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if job not in known:
        known[job] = uuid4().hex[:12]
        checkpoint.write_json(path, known)
    return known[job]


def _mode(config: Wandb) -> Any:
    if config.mode != "auto":
        return config.mode
    return os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")


def _has_key() -> bool:
    """Whether an API key is at hand, in the environment or in ~/.netrc, where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return any("wandb" in host for host in netrc().hosts)
    except (OSError, NetrcParseError):
        return False
