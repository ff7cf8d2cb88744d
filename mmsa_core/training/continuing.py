"""What `mmsa resume` does: an experiment goes on by what its folder says of it, without its recipe's file at hand."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmsa_core.devices import pick
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, provenance, sealed
from mmsa_core.training import experiment, resume
from mmsa_core.training.world import ALONE, World


def go_on(
    folder: Path,
    overrides: Sequence[str],
    device: str,
    processes: int | None,
    command: str,
    display: Display,
    together: World = ALONE,
) -> None:
    """Train the seeds that an experiment lacks, with its own recipe, on a device of the kind that it was begun on.

    Raises:
        UserError: for a folder that holds no experiment.
        Interrupted: when SIGINT or SIGTERM asked for an end.
    """
    folder = folder.expanduser()
    _check(folder)
    recipe = recipe_file.load(folder / resume.RECIPE, overrides)
    if _finished(folder, recipe):
        display.note(
            f"{folder} is finished (seeds {', '.join(map(str, recipe.seeds))}); nothing is left to do. "
            "For more seeds: mmsa train RECIPE --out DIR --resume --seeds N"
        )
        return
    about = _first(folder, recipe)
    device = provenance.device_kind(about) if device == "auto" else device
    chosen = pick(device) if together.size == 1 else together.device
    origin = about["recipe"] if isinstance(about.get("recipe"), dict) else None
    experiment.train(recipe, folder, chosen, command, display, None, processes, True, origin, together)


def _check(folder: Path) -> None:
    """Refuse what is no experiment's folder, and say what it is."""
    if not folder.is_dir():
        raise UserError(f"no run folder {folder}; `mmsa train` prints the folder that it writes")
    sealed.check(folder)
    if (folder / "provenance.json").is_file() and "importer" in checkpoint.read_json(folder / "provenance.json"):
        raise UserError(f"{folder} was imported from a checkpoint, not trained; there is nothing to go on with")
    whole = folder.absolute().parent
    if re.fullmatch(r"seed--?\d+", folder.absolute().name) and (whole / resume.RECIPE).is_file():
        raise UserError(f"{folder} is one seed of an experiment; go on with all of it: mmsa resume {whole}")
    if (folder / resume.RECIPE).is_file():
        return
    if resume.begun(folder):
        raise UserError(
            f"{folder}: has no {resume.RECIPE}, so that its recipe and seeds are not known (it was begun by an "
            "earlier version, or killed at once); the command that it was begun with, with --out and --resume, goes on "
            "and writes it"
        )
    raise UserError(
        f"{folder}: holds no experiment (no {resume.RECIPE}, no seed-* folder); name the folder that `mmsa train` "
        "prints. An ablation goes on with `mmsa ablate RECIPE --out DIR --resume`"
    )


def _finished(folder: Path, recipe: Recipe) -> bool:
    seeds = (folder / f"seed-{seed}" for seed in recipe.seeds)
    return (folder / "results.json").is_file() and all(map(resume.is_finished, seeds))


def _first(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """The provenance of the first seed that was begun; nothing before that."""
    paths = (folder / f"seed-{seed}" / "provenance.json" for seed in recipe.seeds)
    return next((checkpoint.read_json(path) for path in paths if path.is_file()), {})
