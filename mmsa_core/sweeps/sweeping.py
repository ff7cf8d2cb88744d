"""What `mmsa sweep` does: trials are drawn, trained elsewhere, judged by validation, and the best recipe is written."""

from pathlib import Path
from typing import Any

import torch

from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.execution.executor import Executor
from mmsa_core.execution.local import Local
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, lock
from mmsa_core.sweeps import candidates, outcome, sweep_file
from mmsa_core.sweeps.study import Study
from mmsa_core.sweeps.sweep_file import Loaded
from mmsa_core.sweeps.under_way import Sweeping
from mmsa_core.training import component_log, experiment
from mmsa_core.training.stopping import Stop


def run(
    loaded: Loaded,
    out: Path | None,
    device: torch.device,
    command: str,
    display: Display,
    processes: int | None = None,
    resumed: bool = False,
    executor: Executor | None = None,
) -> Path:
    """Search, and write what was found; returns the sweep's folder.

    Raises:
        UserError: for a space that does not fit the recipe, before anything trains.
        Interrupted: when SIGINT or SIGTERM asked for an end; the trials' states are saved.
    """
    folder = _folder(loaded, out, resumed)
    with component_log.shown(display.warn):
        base = candidates.check(loaded, device, display)
    executor = executor or Local()
    at_once = processes or max(1, 1 if device.type == "cuda" else executor.capacity // (base.threads or 1))
    try:
        with lock.held(folder, display.warn) as handle, Stop().heard() as stop:
            _record(folder, loaded, base)
            study = Study(folder, loaded.sweep)
            stop.patient = True
            sweeping = Sweeping(
                loaded, folder, study, executor, at_once, device.type, command, display, stop, lock.shared(handle)
            )
            sweeping.run()
            outcome.write(folder, study, loaded, display)
    except Interrupted as error:
        raise Interrupted(f"what was done is saved; the same command with --out {folder} --resume goes on") from error
    finally:
        executor.close()
    return folder


def _folder(loaded: Loaded, out: Path | None, resumed: bool) -> Path:
    if resumed and out is None:
        raise UserError("--resume: name the folder of the sweep that is to go on, with --out")
    if resumed and out is not None and (out / "sweep.yaml").is_file():
        return out
    named = candidates.trial(loaded, {}, "").model_copy(update={"name": loaded.sweep.name})
    return experiment.free_folder(named, out)


FREE = ("trials", "failures", "restarts", "recipe", "set", "track", "save")
"""What may differ when a sweep goes on; the recipe itself may not, wherever its file lies."""


def _record(folder: Path, loaded: Loaded, base: Recipe) -> None:
    """Write down what the sweep is of, or refuse to go on with another one."""
    made: dict[str, Any] = {"sweep": loaded.sweep.model_dump(mode="json"), "recipe": base.model_dump(mode="json")}
    path = folder / "sweep.json"
    if path.is_file():
        there = checkpoint.read_json(path)
        for part, own in made.items():
            other = there.get(part, {})
            for key in dict.fromkeys((*own, *other)):
                if key not in FREE and own.get(key) != other.get(key):
                    raise UserError(
                        f"--resume: {folder} is of another {part}: {key} is {other.get(key)} there, {own.get(key)} "
                        "here. Nothing was changed; name a new folder with --out"
                    )
    checkpoint.write_json(path, made)
    checkpoint.write_text(folder / "sweep.yaml", sweep_file.dump(loaded.sweep))
