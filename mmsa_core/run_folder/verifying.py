"""A run trained again from what its folder says, and compared byte for byte."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmsa_core.devices import pick
from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe, Track
from mmsa_core.run_folder import checkpoint, provenance
from mmsa_core.run_folder.file_differences import first_difference
from mmsa_core.training import experiment, resume

FILES = (
    *("metrics.jsonl", "teacher.safetensors", "student.safetensors", "distillers.safetensors"),
    *("results.json", "predictions.csv"),
)
"""What must be the same, the first to differ first."""
MOST_THREADS = 1024
"""That a provenance is believed to have run on: somebody may have written another number."""


@dataclass(frozen=True)
class Verdict:
    """What came of one seed."""

    seed: int
    compared: tuple[str, ...]
    differences: tuple[str, ...]
    """In which files the two differ first, and by how much."""
    causes: tuple[str, ...]
    """What was otherwise then."""


def verify(
    run: Path,
    seeds: Sequence[int],
    overrides: Sequence[str],
    device: str,
    processes: int | None,
    command: str,
    display: Display,
) -> list[Verdict]:
    """Train the seeds of a run (by default all) again into a temporary folder, and compare.

    Raises:
        UserError: where the run cannot be trained again.
    """
    folders = _folders(run, seeds)
    about = {seed: checkpoint.read_json(folder / "provenance.json") for seed, folder in folders.items()}
    first, *_ = folders
    _trained(folders[first], about[first])
    recipe = _recipe(folders[first], overrides, list(folders), about[first])
    chosen = _device(device, about[first])
    with tempfile.TemporaryDirectory(prefix="mmsa-verify-") as temporary:
        out = Path(temporary) / "again"
        try:
            experiment.train(recipe, out, chosen, command, display, processes=processes)
        except Interrupted as error:
            raise Interrupted("nothing was compared, and nothing is kept") from error
        return [_verdict(seed, folder, out / f"seed-{seed}", about[seed]) for seed, folder in folders.items()]


def _folders(run: Path, seeds: Sequence[int]) -> dict[int, Path]:
    """The run folders by seed."""
    found = {recipe_file.load(each / "recipe.yaml").seeds[0]: each for each in checkpoint.seed_folders(run)}
    if lost := [seed for seed in seeds if seed not in found]:
        has = ", ".join(map(str, found))
        raise UserError(f"--seed {lost[0]}: {run} holds no finished run of that seed; found: {has}")
    return {seed: folder for seed, folder in found.items() if seed in seeds or not seeds}


def _trained(folder: Path, about: dict[str, Any]) -> None:
    if "importer" in about:
        raise UserError(f"{folder} was imported from a checkpoint, not trained; there is nothing to train again")


def _recipe(folder: Path, overrides: Sequence[str], seeds: Sequence[int], about: dict[str, Any]) -> Recipe:
    """The run's recipe for these seeds, without trackers, on as many threads as it ran on."""
    path = folder / "recipe.yaml"
    before, recipe = recipe_file.load(path), recipe_file.load(path, overrides)
    if changed := resume.differences(before, recipe):
        raise UserError(f"--set makes another experiment of {folder}: {changed[0]}; only data.path may be set")
    threads = about.get("threads")
    known = threads if type(threads) is int and 0 < threads <= MOST_THREADS else None
    return recipe.model_copy(update={"seeds": tuple(seeds), "track": Track(), "threads": recipe.threads or known})


def _device(name: str, about: dict[str, Any]) -> torch.device:
    """As asked for, or else of the kind that the run was trained on."""
    return pick(provenance.device_kind(about) if name == "auto" else name)


def _verdict(seed: int, then: Path, now: Path, about: dict[str, Any]) -> Verdict:
    there = [name for name in FILES if (then / name).is_file() or (now / name).is_file()]
    found = [(name, first_difference(then / name, now / name)) for name in there]
    differences = tuple(f"{name}: {difference}" for name, difference in found if difference)
    return Verdict(
        seed, tuple(there), differences, tuple(provenance.causes(about, checkpoint.read_json(now / "provenance.json")))
    )
