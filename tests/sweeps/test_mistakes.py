"""Mistakes in a sweep: found before anything trains, each with its file and line."""

import sys
from pathlib import Path

import pytest
import torch

from mmsa_core import execution, sweeps
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.sweeps import candidates, sweep_file, sweeping

CPU = torch.device("cpu")
LR = {"kind": "float", "low": 1e-4, "high": 1e-1, "log": True}


@pytest.mark.parametrize(
    ("changes", "line", "says"),
    [
        ({"trails": 3}, 26, "unknown key 'trails'. Did you mean 'trials'?"),
        ({"space": {"train.lr": {"kind": "flaot", "low": 1, "high": 2}}}, 5, "Did you mean 'float'?"),
        ({"space": {"seeds": {"kind": "categorical", "choices": [[1], [2]]}}}, 4, "space.seeds: it decides nothing"),
        (
            {"space": {"masker.rate": LR}},
            4,
            "space.masker.rate: it changes the masks that the objective is measured under",
        ),
        ({"space": {"task.classes": {"kind": "int", "low": 2, "high": 7}}}, 4, "it changes what the loss is"),
        (
            {"space": {"model": {"kind": "categorical", "choices": [1, 2]}, "model.dim": LR}},
            9,
            "space.model.dim: it lies within model",
        ),
        ({"objective": {"under": "complete"}}, 26, "metrics are measured, and not the loss"),
        ({"trials": None}, 22, "trials: required"),
        ({"sampler": {"kind": "grid"}}, 4, "train.lr: a grid needs a step"),
        ({"recipe": "nowhere.yaml"}, 2, "there is no file"),
        ({"space": {"train.epoch": LR}}, 4, "unknown key 'epoch'. Did you mean 'epochs'?"),
        ({"space": {"train.lr.x": LR}}, 4, "train.lr is '1e-3', which has no keys"),
        ({"space": {"train.lr": {"kind": "float", "low": -1.0, "high": 1.0}}}, 4, "greater than 0"),
        ({"space": {"model.fusion.name": {"kind": "categorical", "choices": ["concat", "gatd"]}}}, 4, "mean 'gated'?"),
        ({"set": {"train.epochs": 0}}, 27, "greater than 0"),
        ({"objective": {"metric": "f1_non"}}, 27, "no validation value 'f1_non'; choose one of: loss, "),
    ],
)
def test_where_and_what(write, changes, line, says, tmp_path):
    path = write(**changes)
    with pytest.raises(UserError) as caught:
        candidates.check(sweep_file.load(path), CPU, Display())
    assert says in str(caught.value)
    assert f"{path}:{line}: " in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_choice_that_cannot_be_built(write):
    """Its recipe is valid; only building it shows that it cannot be."""
    path = write(
        set={"model.encoders.text": {"name": "transformer", "layers": 1, "heads": 4}},
        space={"model.dim": {"kind": "categorical", "choices": [8, 10]}},
    )
    with pytest.raises(UserError) as caught:
        candidates.check(sweep_file.load(path), CPU, Display())
    assert str(caught.value).startswith(f"{path}:4: space: model.dim: 10: ")


def test_another_sweep_does_not_go_on(write, here, tmp_path):
    out = tmp_path / "out"
    run = {"device": CPU, "command": "test", "display": Display(), "processes": 1}
    sweeping.run(sweep_file.load(write(trials=1)), out, executor=here.Here(), **run)
    with pytest.raises(UserError, match="already holds something"):
        sweeping.run(sweep_file.load(write(trials=2)), out, executor=here.Here(), **run)
    changed = sweep_file.load(write(seeds=[3]))
    with pytest.raises(UserError, match=r"is of another sweep: seeds is \[1, 2\] there, \[3\] here"):
        sweeping.run(changed, out, executor=here.Here(), resumed=True, **run)


@pytest.mark.parametrize(("library", "line"), [("optuna", []), ("ray", ["--on", "ray"])])
def test_without_the_extra_one_message_names_it(mmsa, monkeypatch, write, library, line):
    monkeypatch.setitem(sys.modules, library, None)
    for package, names in ((sweeps, ("study", "sweeping", "under_way", "outcome")), (execution, ("on_ray",))):
        for name in names:
            monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
            monkeypatch.delattr(package, name, raising=False)
    result = mmsa("sweep", write(), *line)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith("pip install 'mmsa-core[sweep]'\n")
    assert mmsa("sweep", "--help").exit_code == 0


@pytest.mark.needs("mmsa-corrkd")
def test_the_shipped_sweep_fits_its_recipe():
    shipped = Path(__file__).parents[2] / "recipes" / "sweeps" / "corrkd.yaml"
    base = candidates.check(sweep_file.load(shipped), CPU, Display())
    assert (base.train.epochs, base.seeds, base.evaluate.test) == (6, (1111, 1112), False)
