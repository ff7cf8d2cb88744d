"""One process against several that share each batch, a thread each: steps per second, share of time spent talking.

python bench/processes.py [--recipe RECIPE] [--epochs N] [--batch N] [--processes N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mmsa_core.corpora import data
from mmsa_core.recipes import recipe_file
from mmsa_core.training.stages import Stages
from mmsa_core.training.watcher import Watcher
from mmsa_core.training.world import World

ROOT = Path(__file__).parents[1]
COLLECTIVES = {"all_gather": "outputs", "all_reduce": "gradients", "broadcast_object_list": "words"}
WARM = 5
"""Steps that are not timed."""


class Clock(Watcher):
    """When the student's steps ended, and how long they talked until then."""

    def __init__(self) -> None:
        self.talked = dict.fromkeys(COLLECTIVES.values(), 0.0)
        self.marks: list[tuple[float, dict[str, float]]] = []

    def step(self, stage: str) -> None:
        """Take the time."""
        if stage == "student":
            self.marks.append((time.perf_counter(), dict(self.talked)))

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call whose time counts as talking; waiting for a slower process is part of it."""

        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.talked[name] += time.perf_counter() - began

        return run

    def found(self) -> dict[str, float]:
        """Steps per second of the epochs without their validation, and shares of their time."""
        spans = [(b[0] - a[0], b[1], a[1]) for a, b in zip(self.marks[WARM:], self.marks[WARM + 1 :], strict=False)]
        middle = sorted(span for span, _, _ in spans)[len(spans) // 2]
        steps = [each for each in spans if each[0] < 5 * middle]  # between epochs lies a validation
        seconds = sum(span for span, _, _ in steps)
        shares = {name: sum(b[name] - a[name] for _, b, a in steps) / seconds for name in self.talked}
        return {"steps_per_second": len(steps) / seconds, **{f"share_{n}": v for n, v in shares.items()}}


def work(rank: int, size: int, meeting: str, out: str, arguments: argparse.Namespace) -> None:
    """One of the processes."""
    torch.set_num_threads(1)
    clock = Clock()
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
        for name, kind in COLLECTIVES.items():
            setattr(dist, name, clock.timed(kind, getattr(dist, name)))
    sets = [f"train.epochs={arguments.epochs}", f"train.batch_size={arguments.batch}", "train.patience=null"]
    recipe = recipe_file.load(arguments.recipe, [*sets, *arguments.set])
    world = World(rank, size)
    stages = Stages(recipe, data.load(recipe).training, recipe.seeds[0], world.device, clock, None, world)
    trainer, _ = stages.student()
    trainer.fit(stages.train, stages.valid)
    if rank == 0:
        Path(out).write_text(json.dumps(clock.found()))
    if size > 1:
        dist.destroy_process_group()


def measured(size: int, arguments: list[str], folder: Path) -> dict[str, float]:
    """What so many processes reach."""
    out, meeting = folder / f"{size}.json", folder / f"meeting-{size}"
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments, "--work", str(rank), str(size), str(meeting), str(out)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(size)
    ]
    if any([process.wait() for process in started]):  # noqa: C419 - all are waited for
        raise SystemExit(f"{size} processes: one of them failed")
    found: dict[str, float] = json.loads(out.read_text())
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "corrkd.yaml")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=["track.wandb=null"])
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        rank, size, meeting, out = arguments.work
        work(int(rank), int(size), meeting, out, arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        one, many = (measured(size, sys.argv[1:], Path(folder)) for size in (1, arguments.processes))
    ratio = many["steps_per_second"] / one["steps_per_second"]
    print(
        json.dumps(
            {"recipe": arguments.recipe.name, "batch": arguments.batch, "one": one, "many": many, "ratio": ratio}
        )
    )


if __name__ == "__main__":
    main()
