"""Whether memory stays flat over many steps of training and many evaluations."""

import io
import json
import subprocess
import sys
from pathlib import Path

from measure import Found, peak_mebibytes
from rich.console import Console

SETTINGS = ("data.samples=[320,40,40]", "train.patience=null", "track.wandb=null", "log.gradients_every=7")
STEPS, EVALUATIONS = 10_000, 200
LIMIT = 16.0
"""Mebibytes by which the peak may still grow behind the first fifth."""


def run(recipe: Path, folder: Path, steps: int, evaluations: int) -> Found:
    """Peaks of a process that trains and evaluates, at ten points of each."""
    line = [sys.executable, __file__, str(recipe), str(folder), str(steps), str(evaluations)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the process ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    peaks: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    defects = [
        f"memory grows with {part}: {peak[1]:.1f} MiB behind a fifth, {peak[-1]:.1f} MiB at the end"
        for part, peak in peaks.items()
        if peak[-1] - peak[1] > LIMIT
    ]
    return {"steps": steps, "evaluations": evaluations, "peaks": peaks, "defects": defects}


def measured(recipe: Path, folder: Path, steps: int, evaluations: int) -> dict[str, list[float]]:
    """Train, then evaluate over and over, in this process."""
    import torch

    from mmsa_core.display import Display
    from mmsa_core.evaluation import reports
    from mmsa_core.recipes import recipe_file
    from mmsa_core.training import experiment

    silent = Console(file=io.StringIO(), width=160)
    peaks: dict[str, list[float]] = {"steps": [], "evaluations": []}
    counted = 0

    class Counting(Display):
        """Notes the peak ten times."""

        def step(self, stage: str) -> None:
            nonlocal counted
            counted += 1
            if counted % (steps // 10) == 0:
                peaks["steps"].append(peak_mebibytes())

    epochs = -(-steps // 20)  # teacher and student: 2 of 10 mini-batches
    found = recipe_file.load(recipe, [*SETTINGS, f"train.epochs={epochs}", "train.batch_size=32"])
    device, out = torch.device("cpu"), folder / "run"
    experiment.train(found, out, device, "soak", Counting(silent))
    for number in range(1, evaluations + 1):
        silent.file = io.StringIO()
        reports.evaluate(out, ("inter",), "valid", None, (), device, Display(silent), False, False)
        if number % (evaluations // 10) == 0:
            peaks["evaluations"].append(peak_mebibytes())
    return peaks


if __name__ == "__main__":
    recipe, folder, steps, evaluations = sys.argv[1:]
    print(json.dumps(measured(Path(recipe), Path(folder), int(steps), int(evaluations))))
