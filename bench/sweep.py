"""What an executor costs for each trial, beside a plain loop that trains the same recipes.

python bench/sweep.py [--quick] [--threads N] [--rounds N] [--trials N] [--json FILE]

The same recipes are trained one at a time by a loop in this process, by the local executor (a new process for each)
and by ray (workers that stay), each started once before and alternately from then on. The overhead is what a trial
takes more than in the loop, taken round by round. The loop has imported everything; a new process imports it again,
and so does a worker of ray for its first trial, which is why ray's first round is told separately.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from measure import Figure, Found, arguments, environment
from parts import QUICK, recipe
from rich.console import Console

from mmsa_core.execution.executor import Executor
from mmsa_core.execution.executors import make
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.sweeps import trial_job


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each side runs")
    parser.add_argument("--trials", type=int, default=4, metavar="N", help="trials of a round")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    rounds, trials = (1, 1) if options.quick else (options.rounds, options.trials)
    found: Found = {"quick": options.quick, "environment": environment(), "rounds": rounds, "trials": trials}
    found |= measured(trained(), rounds, trials)
    report(found)
    if options.json is not None:
        Path(options.json).write_text(json.dumps(found, indent=1, default=asdict) + "\n", encoding="utf-8")


def trained() -> Recipe:
    """A recipe of one epoch that tests nothing, as a trial; overhead does not depend on how much there is to train."""
    whole = recipe(QUICK)
    update = {
        "train": whole.train.model_copy(update={"epochs": 1}),
        "evaluate": whole.evaluate.model_copy(update={"test": False}),
    }
    return whole.model_copy(update=update)


def measured(chosen: Recipe, rounds: int, trials: int) -> Found:
    """Seconds of a trial on each side, and how many more than in the loop."""
    described, folder = chosen.model_dump(mode="json"), Path(tempfile.mkdtemp())
    numbers = iter(range(10**6))

    def given() -> tuple[object, ...]:
        name = f"{next(numbers):06d}"
        return described, folder / name, folder / f"{name}.log", "cpu", "bench"

    def loop() -> None:
        for _ in range(trials):
            trial_job.train(*given())  # type: ignore[arg-type]

    def by(executor: Executor) -> Callable[[], None]:
        def run() -> None:
            for number in range(trials):
                job = executor.start(trial_job.train, given(), f"trial {number}", None)
                while not job.ended():
                    executor.wait([job], 10)
                if (failure := job.close()) is not None:
                    raise SystemExit(failure.message)

        return run

    began = time.perf_counter()
    ray = make("ray")
    sides = {"loop": loop, "local": by(make("local")), "ray": by(ray)}
    found: Found = {"ray_start": time.perf_counter() - began}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    try:
        for number in range(rounds + 1):  # the first one warms up
            for name in list(sides)[:: -1 if number % 2 else 1]:
                began = time.perf_counter()
                sides[name]()
                taken = (time.perf_counter() - began) / trials
                if number:
                    seconds[name].append(taken)
                else:
                    found[f"{name}_first_round"] = taken
    finally:
        ray.close()
        shutil.rmtree(folder)
    for name in sides:
        found[name] = Figure.of(seconds[name], "s for each trial")
    for name in ("local", "ray"):
        more = [other - own for other, own in zip(seconds[name], seconds["loop"], strict=True)]
        found[f"{name}_overhead"] = Figure.of(more, "s more for each trial")
    return found


def report(found: Found) -> None:
    console = Console(width=120, highlight=False)
    console.print(f"load {found['environment']['load']:.1f} on {found['environment']['cores']} cores")
    console.print(f"ray starts in {found['ray_start']:.1f} s")
    for name in ("loop", "local", "ray"):
        console.print(f"{name:16} {found[name]}   (in the first round {found[f'{name}_first_round']:.3f})")
    for name in ("local_overhead", "ray_overhead"):
        console.print(f"{name:16} {found[name]}")


if __name__ == "__main__":
    main()
