"""Several processes learn what one learns: of shares of each batch, whatever the loss terms compare."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from mmsa_core.errors import UserError
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.training.world import ALONE, World, check

pytestmark = pytest.mark.needs("mmsa-corrkd", "mmsa-dmd")

PROGRAM = Path(__file__).with_name("together.py")
ROOT = Path(__file__).parents[1]
ENCODER = {"name": "transformer", "layers": 1, "heads": 2, "dropout": 0.0}
MODEL = {"dim": 8, "encoders": dict.fromkeys(("text", "audio", "vision"), ENCODER), "fusion": {"name": "concat"}}
STEPS = {"epochs": 1, "batch_size": 5, "algorithm": "sgd", "momentum": 0.9, "valid_draws": 1}
"""251 samples make 51 steps; of the last one's single sample all processes but one have nothing."""
LONG = {"name": "synthetic", "samples": [251, 9, 11], "length": [3, 6]}
SHORT = LONG | {"samples": [22, 9, 11]}


def dmd(**changes):
    """The recipe of DMD, smaller and without dropout."""
    found = yaml.safe_load((ROOT / "recipes" / "dmd.yaml").read_text())
    for encoder in found["model"]["encoders"].values():
        encoder["dropout"] = 0.0
    found["model"]["dim"] = 20
    smaller = {"heads": 2, "layers": 1, "embedding_dropout": 0.0, "output_dropout": 0.0}
    found["model"]["fusion"] |= smaller | {"attention_dropout": dict.fromkeys(("text", "audio", "vision"), 0.0)}
    return Recipe.model_validate(found | {"masker": {"name": "corrkd.missing"}, "track": {}} | changes)


def recipes(make):
    """By name: every kind of teacher and task, and every term that compares samples."""
    adam = {"algorithm": "adam", "lr": 1e-3}
    half = {"seeds": [1], "model": MODEL, "data": SHORT}
    without = {"kind": "none"}
    parts = {name: {"name": f"dmd.{name}"} for name in ("reconstruction", "orthogonality")}
    return {
        "corrkd": make.corrkd(
            teacher={"kind": "trained", "train": STEPS | {"batch_size": 25, "lr": 0.01}},
            distillers={
                "scd": {"name": "corrkd.scd"},
                "cpd": {"name": "corrkd.cpd"},
                "rcd": {"name": "corrkd.rcd", "optimizer": None},  # Adam enlarges what rounding leaves
            },
            train=STEPS | {"lr": 0.01},
            model=MODEL,
            data=LONG,
            log={"gradients_every": 10},
        ),
        "dmd": dmd(train=STEPS | {"lr": 1e-3, "momentum": 0.0, "clip_value": 0.6}, data=LONG),
        "binary": make.corrkd(
            **half,
            task={"kind": "binary_labels", "names": ["happy", "sad", "angry", "neutral"]},
            teacher={"kind": "ema"},
            train=STEPS | adam | {"epochs": 2, "clip": 0.1, "accumulate": 2, "average": "ema"},
        ),
        "core's terms": make.corrkd(
            **half,
            teacher={"kind": "trained", "cache": False},
            distillers={name: {"name": name} for name in ("kd", "dkd", "feature", "relational")},
            train=STEPS | {"lr": 0.01, "weight_decay": 0.1},
        ),
        "no task": dmd(task=without, distillers=parts, data=SHORT, train=STEPS | adam | {"weight_decay": 0.1}),
        "not finite": make.tiny(**half, train=STEPS | {"lr": 1e30, "on_nonfinite": "skip", "epochs": 2}),
    }


def kind(name):
    """Of numbers: what shall be equal in single precision, or in double, where rounding explains no difference."""
    return "float32" if name in ("corrkd", "dmd") else "float64"


def run(chosen, size, folder):
    """What processes with so many shares of the batch learned, by the name of the recipe."""
    given, out, meeting = folder / "recipes.json", folder / f"{size}.pt", folder / f"meeting-{size}"
    given.write_text(json.dumps([(recipe.model_dump(mode="json"), kind(name)) for name, recipe in chosen.items()]))
    line = [sys.executable, "-W", "error", PROGRAM]
    processes = [subprocess.Popen([*line, str(rank), str(size), meeting, given, out]) for rank in range(size)]
    return processes, lambda: dict(zip(chosen, torch.load(out), strict=True))


@pytest.fixture(scope="module")
def learned(make, tmp_path_factory):
    """By one process and by two, side by side."""
    folder, chosen = tmp_path_factory.mktemp("together"), recipes(make)
    started = [run(chosen, size, folder) for size in (1, 2)]
    assert [process.wait() for processes, _ in started for process in processes] == [0] * 3
    return [found() for _, found in started]


def same(one, other, single):
    """Every loss and every weight; in double precision all that was logged too."""
    for rows in ("steps", "epochs"):
        assert len(one[rows]) == len(other[rows])
        for row, its in zip(one[rows], other[rows], strict=True):
            assert row.keys() == its.keys()
            for key in (key for key in row if not single or "loss" in key):
                close = pytest.approx(its[key], rel=1e-5, abs=1e-5) if isinstance(its[key], float) else its[key]
                assert row[key] == close, f"{key} of step {row['step']}"
    within = 1e-5 if single else 1e-10
    for part, tensors in one["learned"].items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(
                tensor, other["learned"][part][name], rtol=0, atol=within, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("name", ["corrkd", "dmd", "binary", "core's terms", "no task"])
def test_two_processes_learn_what_one_learns(learned, name):
    one, two = (each[name] for each in learned)
    same(one, two, kind(name) == "float32")
    assert two["drift"] == 0  # all processes end with the same weights, to the last bit
    steps = [row for row in one["steps"] if row["stage"] == "student"]
    assert len(steps) == {"corrkd": 51, "dmd": 51, "binary": 10}.get(name, 5)
    assert all(math.isfinite(row["loss/total"]) for row in steps)


def test_what_no_loss_asks_for_stays_as_it_is(learned):
    """The heads of a network that learns without a task, in spite of its weight decay."""
    one, two = (each["no task"]["learned"]["network"] for each in learned)
    unread = [name for name in one if name.startswith("fusion.shared_head")]
    assert unread
    assert all(torch.equal(one[name], two[name]) for name in unread)


def test_updates_that_are_skipped_are_skipped_by_all(learned):
    one, two = (each["not finite"] for each in learned)
    assert [row.get("skipped", False) for row in one["steps"]] == [row.get("skipped", False) for row in two["steps"]]
    assert any(row.get("skipped") for row in two["steps"])
    assert two["drift"] == 0


@pytest.mark.slow
def test_three_processes_with_adam(make, tmp_path):
    """In double precision: in single Adam moves a weight of which nothing depends by the rounding of its gradient."""
    train = STEPS | {"algorithm": "adam", "lr": 1e-3}
    chosen = {
        "corrkd, adam": make.corrkd(train=train, model=MODEL, data=LONG),
        "dmd, adam": dmd(train=train | {"clip_value": 0.6}, data=LONG),
    }
    started = [run(chosen, size, tmp_path) for size in (1, 3)]
    assert [process.wait() for processes, _ in started for process in processes] == [0] * 4
    one, three = (found() for _, found in started)
    for name in chosen:
        same(one[name], three[name], single=False)
        assert three[name]["drift"] == 0


@pytest.mark.parametrize("samples", [1, 2, 5, 7])
def test_rows_are_shared_as_equally_as_can_be(samples):
    found = World(size=3).rows(samples)
    assert sum(found) == samples
    assert max(found) - min(found) <= 1


def test_a_batch_that_cannot_be_shared(make):
    recipe = make.corrkd(teacher={"kind": "trained", "train": {"epochs": 1, "batch_size": 2}})
    check(recipe, ALONE)
    check(recipe, World(size=2))
    with pytest.raises(UserError, match=r"teacher.train.batch_size: a batch of 2 cannot be shared by 3 processes"):
        check(recipe, World(size=3))


def test_alone_nothing_is_sent(make):
    """No process group is there, so that any message would fail."""
    assert (ALONE.most(3), ALONE.told("a"), ALONE.each("b")) == (3, "a", ["b"])
    trainer, heard = make.fitted(make.tiny())
    assert trainer.world is ALONE
    assert heard.steps
