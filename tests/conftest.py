"""What several tests need: a small recipe and its data."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell's background job: children would not hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("WANDB_SILENT", "true")

import pytest
import torch

from mmsa_core import registry
from mmsa_core.corpora import data
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.training.stages import Stages

torch.set_num_threads(1)  # small tensors: threads cost more than they give


def tiny(**changes):
    """A recipe that trains in well under a second; keyword arguments replace sections."""
    encoder = {"name": "transformer", "layers": 1, "heads": 2}
    sections = {
        "name": "tiny",
        "seeds": [1],
        "data": {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]},
        "task": {"kind": "bins", "classes": 7},
        "model": {
            "dim": 8,
            "encoders": {"text": encoder, "audio": encoder, "vision": encoder},
            "fusion": {"name": "concat"},
        },
        "masker": {"name": "modality_dropout", "rate": 0.4},
        "train": {"epochs": 2, "batch_size": 8, "lr": 1e-3},
    }
    return Recipe.model_validate(sections | changes)


CORE = {"scd": {"name": "relational"}, "cpd": {"name": "kd"}, "rcd": {"name": "feature"}}
"""What stands for CorrKD's terms where that plugin is not installed, in tests that do not say that they need it."""


def corrkd(**changes):
    """Like `tiny`, with a trained teacher and CorrKD's three terms."""
    terms = {label: {"name": f"corrkd.{label}"} for label in ("scd", "cpd", "rcd")}
    terms = terms if "corrkd.scd" in registry.distillers else CORE
    return tiny(**({"teacher": {"kind": "trained"}, "distillers": terms} | changes))


class Heard:
    """A watcher that keeps what it hears."""

    def __init__(self):
        self.steps, self.epochs, self.warnings, self.notes = [], [], [], []

    def begin(self, stage, epochs, steps):
        pass

    def step(self, stage):
        pass

    def rows(self, stage, rows):
        self.steps += rows

    def epoch(self, stage, row):
        self.epochs.append(row)

    def note(self, message):
        self.notes.append(message)

    def warn(self, message):
        self.warnings.append(message)

    def end(self, stage):
        pass

    def series(self, name, stage="student"):
        return [row[name] for row in self.steps if row["stage"] == stage and name in row]


def stages(recipe, heard=None):
    """The stages of a recipe's first seed, on the CPU."""
    return Stages(recipe, data.load(recipe).training, recipe.seeds[0], torch.device("cpu"), heard or Heard())


def fitted(recipe):
    """Train a recipe's first seed; returns its trainer and what was heard."""
    heard = Heard()
    found = stages(recipe, heard)
    trainer, _ = found.student()
    trainer.fit(found.train, found.valid)
    return trainer, heard


class Tools:
    """The functions above, for tests."""

    tiny, corrkd, stages, fitted, Heard = map(staticmethod, (tiny, corrkd, stages, fitted, Heard))


@pytest.fixture(scope="session")
def make():
    return Tools


@pytest.fixture
def quick_bench(tmp_path):
    """Runs a file of bench/ in its quick form: the figures that it wrote, and what it printed."""
    bench = Path(__file__).resolve().parents[1] / "bench"

    def run(name, *options):
        given = ("--quick", "--threads", "1", *options, "--json", "bench.json")
        done = subprocess.run(
            [sys.executable, "-W", "error", bench / name, *given],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "bench.json").read_text()), done.stdout

    return run
