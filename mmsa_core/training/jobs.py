"""Seeds in processes of their own, several at once: the same numbers as one after the other.

What they print is shown line by line with the seed in front. A seed that fails stops no other that has begun, and
all of them end when this process does; until they have, the lock of the folder is held.
"""

import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.execution.executor import Failure
from mmsa_core.execution.local import Job, Local, cores
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import by_hand
from mmsa_core.run_folder.lock import Handed
from mmsa_core.training import component_log, resume, seed_run
from mmsa_core.training.deterministic import algorithms
from mmsa_core.training.seed_run import Setting
from mmsa_core.training.stopping import Stop

PERIOD = 0.2
"""Seconds between looks at whether this process was asked to end."""


def number(asked: int | None, recipe: Recipe, device: torch.device, seeds: Sequence[int]) -> int:
    """How many processes to train seeds in: as asked, or what the cores allow; one on CUDA; at most one for a seed."""
    if asked is None:
        asked = 1 if device.type == "cuda" else cores() // (recipe.threads or torch.get_num_threads())
    return max(1, min(asked, len(seeds)))


class Elsewhere(Exception):
    """What was raised in other processes, to be shown as the cause of what is raised in this one."""


def run(setting: Setting, seeds: Sequence[int], at_once: int, locked: Handed | None = None) -> None:
    """Train seeds, so many at once; after a failure those that have begun are finished.

    Each process keeps `locked` open.

    Raises:
        UserError: with what each failed seed says.
    """
    executor, described = Local(), setting.recipe.model_dump(mode="json")
    waiting, running, failures = list(seeds), dict[int, Job](), dict[int, Failure]()
    told_to_end, stopping = False, False
    try:
        while running or (waiting and not failures):
            while waiting and len(running) < at_once and not failures:
                seed = waiting.pop(0)
                setting.display.seed(seed, setting.recipe.seeds)
                about = (
                    str(setting.device),
                    setting.out,
                    setting.command,
                    setting.origin,
                    by_hand.used(setting.recipe),
                )
                running[seed] = executor.start(work, (described, seed, *about), f"seed {seed}", locked)
            executor.wait(running.values(), PERIOD)
            for seed, job in list(running.items()):
                ended = job.ended()  # asked before reading: then nothing more can come
                for line in job.lines(ended):
                    setting.display.of_seed(seed, line)
                if ended:
                    del running[seed]
                    if failure := job.close():
                        failures[seed] = failure
                    told_to_end = told_to_end or job.interrupted
            if (told_to_end or setting.stop()) and not stopping:
                stopping, waiting = True, []
                for job in running.values():
                    job.terminate()  # it saves its state first
    finally:
        for job in running.values():
            job.terminate()
        for job in running.values():
            job.stop()
    if failures:
        told = [f"seed {seed}, in its process:\n{each.where}" for seed, each in failures.items() if each.where]
        raise failed(failures, setting) from (Elsewhere("\n".join(told)) if told else None)
    if stopping:
        raise Interrupted


def failed(failures: Mapping[int, Failure], setting: Setting) -> UserError:
    """What to say when seeds failed: why, and what is kept of the others."""
    if len(setting.recipe.seeds) == 1:
        return UserError("\n".join(each.message for each in failures.values()))
    lines = [f"seed {seed}: {each.message}" for seed, each in failures.items()]
    kept = [f"seed-{seed}" for seed in setting.recipe.seeds if resume.is_finished(setting.folder(seed))]
    if kept:
        again = shlex.quote(str(setting.out))
        lines.append(f"{', '.join(kept)} finished and kept in {setting.out}; mmsa resume {again} goes on")
    return UserError("\n".join(lines))


def work(
    recipe: dict[str, Any],
    seed: int,
    device: str,
    out: Path,
    command: str,
    origin: Mapping[str, str] | None,
    registered: Mapping[str, Mapping[str, str]],
) -> None:
    """What the process of a seed does."""
    display = Display()
    with component_log.shown(display.warn), Stop().heard() as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process, which tells the others
        by_hand.register(registered)
        found = Recipe.model_validate(recipe)
        with algorithms(found.deterministic):
            setting = seed_run.prepare(found, torch.device(device), out, command, display, None, stop, origin)
            stop.patient = True
            seed_run.run(setting, seed)
