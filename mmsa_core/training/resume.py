"""An experiment that goes on: which of its seeds are finished, and whether they are of this recipe and these data."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, sealed, test_log
from mmsa_core.tracking import wandb_runs
from mmsa_core.training import saving
from mmsa_core.training.initialization import listed
from mmsa_core.training.seed_run import Setting
from mmsa_core.training.stages import Stages
from mmsa_core.training.watcher import Watcher

RECIPE = "recipe.yaml"
"""In the experiment's folder: its recipe, with all of its seeds; in a seed's folder: that of the seed."""
UNCOMPARED = ("seeds", "track", "data.path", "save")
"""What makes no other experiment: which seeds there are, where they are logged, where the same data lie, when the state
of a training is saved."""
CARRIED = (wandb_runs.IDS, test_log.FILE)
"""What a seed that is trained anew takes over: its runs at W&B, and how often its test split was evaluated."""


def begun(out: Path) -> bool:
    """Whether a folder holds an experiment, even one that was killed before its first file was written."""
    return any(True for _ in _seeds(out))


def finished(setting: Setting) -> list[int]:
    """The seeds in the experiment's folder that are trained and evaluated.

    Raises:
        UserError: where a seed is of another recipe or of other data.
    """
    found = []
    if setting.out.is_dir():
        sealed.check(setting.out)
    for seed, folder in sorted(_begun(setting.out)):
        sealed.check(folder)
        _check(folder, seed, setting)
        if is_finished(folder):
            found.append(seed)
            if said := sealed.altered(folder, checkpoint.read_json(folder / "provenance.json")):
                setting.display.warn(said)
    if found:
        setting.display.note(f"finished, and kept as they are: {', '.join(f'seed-{seed}' for seed in found)}")
    return found


def trained(setting: Setting) -> list[int]:
    """The same without a look at what they are of."""
    return [seed for seed, folder in sorted(_begun(setting.out)) if is_finished(folder)]


def is_finished(folder: Path) -> bool:
    """Whether the run folder of a seed holds a student and its results."""
    return all((folder / name).is_file() for name in ("recipe.yaml", "student.safetensors", "results.json"))


def make_room(setting: Setting, seeds: Sequence[int]) -> list[int]:
    """The seeds to train. Those that were not finished go on from their last state.

    The folders of others are set aside, so that nothing in them is lost. What a kill left half written is removed.
    """
    saving.tidy(setting.out)
    for _, folder in list(_begun(setting.out)):
        saving.tidy(folder, is_finished(folder))
    unfinished = [seed for seed in seeds if not is_finished(setting.folder(seed))]  # another process may have ended
    for folder in [setting.folder(seed) for seed in unfinished if setting.folder(seed).exists()]:
        if saving.last_of(folder, setting.display.warn):
            continue
        numbered = (setting.out / f"unfinished-{folder.name}{n}" for n in ("", *(f"-{n}" for n in range(2, 10**6))))
        aside = next(path for path in numbered if not path.exists())
        folder.rename(aside)
        folder.mkdir()
        for name in CARRIED:
            if (aside / name).is_file():
                checkpoint.write_bytes(folder / name, (aside / name).read_bytes())
        setting.display.note(f"{folder.name} was not finished and is trained anew; what there was is in {aside}")
    return unfinished


def differences(there: Recipe, here: Recipe) -> list[str]:
    """The fields in which two recipes differ."""
    one, other = (dict(_flat(recipe.model_dump(mode="json"))) for recipe in (there, here))
    return [
        f"{key} is {one.get(key, 'absent')} there, {other.get(key, 'absent')} here"
        for key in dict.fromkeys((*one, *other))
        if one.get(key, KeyError) != other.get(key, KeyError) and not key.startswith(UNCOMPARED)
    ]


def _begun(out: Path) -> Iterator[tuple[int, Path]]:
    yield from ((seed, folder) for seed, folder in _seeds(out) if (folder / "recipe.yaml").is_file())


def _seeds(out: Path) -> Iterator[tuple[int, Path]]:
    for folder in out.glob("seed-*"):
        number = folder.name.removeprefix("seed-")
        if number.removeprefix("-").isdecimal() and folder.name == f"seed-{int(number)}":
            yield int(number), folder


def _check(folder: Path, seed: int, setting: Setting) -> None:
    """Refuse to go on with an experiment that is another one."""
    remedy = "Nothing was changed; name a new folder with --out, or give what it was begun with"
    if changed := differences(recipe_file.load(folder / "recipe.yaml"), setting.recipe):
        raise UserError(f"--resume: {folder} is of another recipe: {listed(changed)}. {remedy}")
    if not (folder / "provenance.json").is_file():
        return  # interrupted before it was written
    about = checkpoint.read_json(folder / "provenance.json")
    if (there := about.get("data_sha256")) != (here := setting.data.digest):
        raise UserError(f"--resume: {folder} is of other data: their SHA-256 is {there} there, {here} here. {remedy}")
    stages = Stages(setting.recipe, setting.data.training, seed, setting.device, Watcher())
    for part, now in (("teachers", stages.taught_by()), ("initialised_from", stages.initialised_from())):
        then = about.get(part, {})
        if not isinstance(then, dict) or sorted(map(str, then.values())) != sorted(now.values()):
            raise UserError(f"--resume: {folder}: the weights in {', '.join(now)} were others then. {remedy}")


def _flat(data: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; an empty mapping is a value."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value
