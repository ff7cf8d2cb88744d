"""What Weights & Biases is told of a training: a run for the teacher, one for the student, one over all seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmsa_core.recipes.recipe import Recipe, Wandb
from mmsa_core.tracking import wandb_runs
from mmsa_core.training.progress import Row

STEPS = 50
"""At most so many steps of an epoch are sent, so that training does not wait; metrics.jsonl has all of them."""


class WandbTracker:
    """The runs of one seed: one for each stage, of that job type."""

    def __init__(self, config: Wandb, recipe: Recipe, seed: int, folder: Path, group: str) -> None:
        self.config, self.recipe, self.seed, self.folder, self.group = config, recipe, seed, folder, group
        self.run: Any = None
        self.best: dict[str, Any] = {}

    def begin(self, stage: str) -> None:
        """Start a stage's run."""
        self._close()
        self.best = {}
        self.run = wandb_runs.start(self.config, self.recipe, self.folder, self.group, stage, self.seed)
        self.run.define_metric(f"{stage}/step")
        self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    def rows(self, rows: list[Row]) -> None:
        for row in thinned(rows):
            self.run.log({f"{row['stage']}/{name}": value for name, value in row.items() if name != "stage"})
            if row.get("best"):
                self.best = {f"best/{name}": value for name, value in row.items() if name.startswith("valid/")}
                self.best["best/epoch"] = row["epoch"]

    def finish(self, results: dict[str, Any]) -> None:
        import wandb

        for condition, values in results["conditions"].items():
            self.run.summary.update({f"{condition}/{name}": value for name, value in values.items()})
        self.run.log({"results": wandb_runs.table(results["conditions"], "condition")})
        pictures = sorted(self.folder.glob("edges-*.png"))
        if pictures:  # edges-TERM-valid.png
            self.run.log({f"edges/{path.stem.split('-')[1]}": wandb.Image(str(path)) for path in pictures})
        name, recipe = f"{self.recipe.name}-{self.seed}", self.folder / "recipe.yaml"
        wandb_runs.artifact(self.run, f"{name}-recipe", "recipe", [recipe], {"seed": self.seed})
        written = [
            self.folder / file for file in ("student.safetensors", "recipe.yaml", "results.json", "provenance.json")
        ]
        wandb_runs.artifact(self.run, f"{name}-student", "model", written, {"seed": self.seed})
        self._close()

    def fail(self) -> None:
        """The training ended before it was done."""
        self._close(exit_code=1)

    def _close(self, exit_code: int = 0) -> None:
        if self.run is not None:
            self.run.summary.update(self.best)
            self.run.finish(exit_code=exit_code)
        self.run = None


def aggregate(config: Wandb, recipe: Recipe, folder: Path, found: Mapping[str, Any]) -> None:
    """The run over all seeds: mean and deviation of every metric, and the recipe."""
    with wandb_runs.start(config, recipe, folder, folder.name, "aggregate") as run:
        spread = {condition: flat(values) for condition, values in found["conditions"].items()}
        for condition, values in spread.items():
            run.summary.update({f"{condition}/{name}": value for name, value in values.items()})
        run.log({"results": wandb_runs.table(spread, "condition")})
        run.log({"references": wandb_runs.table(found["references"], "predictor")} if found["references"] else {})
        first = folder / f"seed-{found['seeds'][0]}" / "recipe.yaml"
        wandb_runs.artifact(run, f"{recipe.name}-recipe", "recipe", [first], {"seeds": found["seeds"]})


def flat(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and deviation of each metric, side by side."""
    return {
        name: value
        for metric, each in values.items()
        for name, value in ((metric, each["mean"]), (f"{metric} std", each["std"]))
    }


def thinned(rows: list[Row]) -> list[Row]:
    """Some of the steps of an epoch, evenly; those with gradient norms, which are rare, are all there."""
    stride = max(1, -(-len(rows) // STEPS))
    return [row for n, row in enumerate(rows) if n % stride == 0 or any(name.startswith("gradient/") for name in row)]
