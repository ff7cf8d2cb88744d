"""Task none: loss terms alone train a network, on data without labels."""

import json
import pickle

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import nn

from mmsa_core import assemble
from mmsa_core.cli import main
from mmsa_core.components import Context, Distiller, DistillerConfig
from mmsa_core.corpora import batching
from mmsa_core.corpora.corpus import Split
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.missing import Draw
from mmsa_core.run_folder import checkpoint
from mmsa_core.tasks import IGNORE, NoTask
from mmsa_core.training import experiment
from mmsa_core.training.terms import Terms, mean_loss
from mmsa_core.types import Outputs

NONE = {"task": {"kind": "none"}}
TERM = {"hint": {"name": "feature", "weight": 0.5}, "rkd": {"name": "relational"}}
CORRKD, DMD = pytest.mark.needs("mmsa-corrkd"), pytest.mark.needs("mmsa-dmd")
SELF_SUPERVISED = NONE | {"teacher": {"kind": "ema"}, "distillers": TERM}


def run(recipe, folder):
    return experiment.train(recipe, folder, torch.device("cpu"), "test", Display())


@pytest.fixture
def unlabelled(tmp_path):
    """A data section of a file without any label."""
    draw = np.random.default_rng(0)
    splits = {}
    for name, rows in {"train": 22, "valid": 9, "test": 11}.items():
        splits[name] = {m: draw.normal(size=(rows, 4, 3)).astype(np.float32) for m in ("text", "audio", "vision")}
        splits[name] |= {"id": [f"{name}$_${row}" for row in range(rows)]}
    (tmp_path / "unlabelled.pkl").write_bytes(pickle.dumps(splits))
    return {"name": "mmsa-pickle", "path": str(tmp_path / "unlabelled.pkl")}


def test_the_task_answers_nothing():
    task, logits = NoTask(), torch.randn(3, 1)
    split = Split.padded(("a", "b", "c"), {"x": torch.zeros(3, 1, 1)}, {"x": torch.ones(3, 1, dtype=torch.bool)})
    target = task.target(split)
    assert target.tolist() == [0.0, 0.0, 0.0]
    assert task.objective(logits, target) == 0
    assert task.categories(target).tolist() == [[IGNORE]] * 3
    assert task.metrics(logits, target) == task.prediction(logits) == {}
    assert task.threshold(logits, target) is None


@pytest.mark.parametrize("kind", ["none", "self", "ema"])
def test_a_network_learns_without_labels(make, tmp_path, unlabelled, kind):
    term = Echo.name if kind == "none" else "feature"
    recipe = make.tiny(**NONE | {"data": unlabelled, "teacher": {"kind": kind}, "distillers": {"own": {"name": term}}})
    one = run(recipe, tmp_path / "out") / "seed-1"
    expected = ["distillers.safetensors", "metrics.jsonl", "provenance.json", "recipe.yaml", "results.json"]
    assert sorted(path.name for path in one.iterdir()) == [*expected, "student.safetensors"]
    rows = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert not any("task" in name for row in rows for name in row)
    steps = [row for row in rows if "best" not in row]
    assert all(row["loss/total"] == pytest.approx(row["loss/own"]) for row in steps)
    (epoch,) = (
        row for row in rows if row.get("best") and row["valid/loss"] == min(e["valid/loss"] for e in rows[3::4])
    )
    results = json.loads((one / "results.json").read_text())
    assert results["conditions"] == {"valid_masked": {"loss": epoch["valid/loss"]}}
    assert results["best_epoch"] == epoch["epoch"]
    assert results["threshold"] is None


class Echo(Distiller):
    """The mean of the joint representation, which needs no teacher."""

    name = "test.echo"
    needs_teacher = False

    def forward(self, student, teacher, batch):
        return student.joint.mean()


@pytest.fixture(autouse=True)
def echo(monkeypatch):
    from mmsa_core import registry

    monkeypatch.setitem(registry.distillers._loaded, Echo.name, Echo)


def test_an_experiment_without_labels_ends_with_a_table(make, tmp_path, unlabelled, capsys):
    folder = run(make.tiny(**SELF_SUPERVISED | {"data": unlabelled, "seeds": [1, 2]}), tmp_path / "out")
    results = json.loads((folder / "results.json").read_text())
    assert results["references"] == {}
    loss = results["conditions"]["valid_masked"]["loss"]
    assert loss["mean"] == pytest.approx(sum(loss["values"]) / 2)
    table = " ".join(capsys.readouterr().out.split())
    assert f"valid_masked {loss['mean']:.3f} ± {loss['std']:.3f}" in table


def test_the_validation_loss_by_hand(make):
    """Each draw of the masks: batches of 8 and of 1, in eval mode, the terms weighted; then the mean of three draws."""
    stages = make.stages(make.tiny(**SELF_SUPERVISED))
    trainer, _ = stages.student()
    expected = []
    trainer.network.eval()
    for n in range(3):
        total = 0.0
        for batch in batching.batches(stages.valid, NoTask(), 8):
            seen = trainer.masker(batch, Draw("valid", 1, n))
            with torch.no_grad():
                student, teacher = trainer.network(seen), trainer.teacher.average.network(batch)
                values = {label: term(student, teacher, seen).item() for label, term in trainer.terms.modules.items()}
            total += len(batch) * (0.5 * values["hint"] + values["rkd"])
        expected.append(total / 9)
    assert trainer.validate(stages.valid)["loss"] == pytest.approx(sum(expected) / 3)


class Dropping(nn.Module):
    """Predicts the feature, of which half is dropped in training."""

    def forward(self, batch):
        x = nn.functional.dropout(batch.features["x"][:, 0], training=self.training)
        return Outputs({}, x, x)


class Noisy(Distiller):
    """Mean and a number of its own."""

    def __init__(self):
        super().__init__(DistillerConfig(), Context(channels={}, lengths={}, dim=1, task=NoTask()))
        self.modes = []

    def forward(self, student, teacher, batch):
        self.modes.append(self.training)
        return student.joint.mean() + torch.rand(())


def test_the_mean_loss_counts_each_sample_once_and_leaves_no_trace():
    x = {"x": torch.arange(5.0).view(5, 1, 1)}
    split = Split.padded(tuple("abcde"), x, {"x": torch.ones(5, 1, dtype=torch.bool)})
    network, term = Dropping(), Noisy()
    terms = Terms(modules=nn.ModuleDict({"noisy": term}), weights={"noisy": 2.0})

    def measured():
        return mean_loss(network, None, terms, batching.batches(split, NoTask(), 4), Draw("valid", 1), None, seed=3)

    torch.manual_seed(3)
    first, last = torch.rand(()), torch.rand(())
    torch.manual_seed(0)
    state = torch.get_rng_state()
    expected = (4 * 2 * (1.5 + first) + 2 * (4 + last)) / 5
    assert measured() == measured() == pytest.approx(expected.item())
    assert term.modes == [False] * 4
    assert network.training
    assert term.training
    assert torch.equal(torch.get_rng_state(), state)


def test_the_best_epoch_is_kept_and_patience_ends(make):
    settings = {"epochs": 40, "batch_size": 8, "lr": 0.3, "patience": 2}
    stages = make.stages(make.tiny(**SELF_SUPERVISED | {"train": settings}), heard := make.Heard())
    trainer, _ = stages.student()
    fit = trainer.fit(stages.train, stages.valid)
    values = [row["valid/loss"] for row in heard.epochs]
    assert fit.best_value == min(values)
    assert fit.best_epoch == 1 + values.index(min(values))
    assert fit.epochs == fit.best_epoch + 2 < 40


def test_nothing_but_the_loss_selects(make):
    recipe = make.tiny(**SELF_SUPERVISED | {"train": {"epochs": 1, "batch_size": 8, "select": "mae"}})
    with pytest.raises(UserError, match=r"train.select: no validation value 'mae'; choose one of: loss$"):
        make.stages(recipe).rehearse()


@pytest.mark.parametrize("task", [{"kind": "none"}, {"kind": "bins", "classes": 7}])
def test_a_run_teaches_whatever_its_task(make, tmp_path, task):
    """What is kept of the teacher is of the training split, and does not stand for the validation split."""
    first = SELF_SUPERVISED if task["kind"] == "none" else {"task": task}
    teacher = run(make.tiny(**first), tmp_path / "teacher")
    heard = []
    for cache in (True, False):
        taught = {"teacher": {"run": str(teacher), "cache": cache}, "distillers": TERM}
        _, found = make.fitted(make.tiny(**NONE | taught))
        heard.append((found.steps, found.epochs))
    assert heard[0] == heard[1]


def test_a_student_with_a_task_is_not_taught_by_a_run_without(make, tmp_path):
    teacher = run(make.tiny(**SELF_SUPERVISED), tmp_path / "teacher")
    with pytest.raises(UserError, match="was trained for another task"):
        make.stages(make.corrkd(teacher={"run": str(teacher)})).student()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, r"^task.kind: none learns from loss terms alone, and the recipe has none with a weight above 0"),
        ({"distillers": {"off": {"name": "feature", "weight": 0}}, "teacher": {"kind": "ema"}}, "weight above 0"),
        ({"distillers": {"kd": {"name": "kd"}}, "teacher": {"kind": "ema"}},
         r"^distillers.kd: 'kd' reads class responses, and task.kind none has none"),
        ({"distillers": {"dkd": {"name": "dkd"}}, "teacher": {"kind": "ema"}}, "'dkd' reads the targets"),
        pytest.param({"distillers": {"cpd": {"name": "corrkd.cpd"}}, "teacher": {"kind": "ema"}},
                     "reads the targets", marks=CORRKD),
        pytest.param({"distillers": {"rcd": {"name": "corrkd.rcd"}}, "teacher": {"kind": "ema"}},
                     "reads the targets", marks=CORRKD),
        pytest.param({"distillers": {"margin": {"name": "dmd.margin"}}},
                     "reads the targets, and task.kind none", marks=DMD),
        ({"distillers": TERM, "teacher": {"kind": "trained"}}, r"^teacher.kind: trained needs a task"),
        ({"distillers": TERM, "teacher": {"runs": ["a", "b"]}}, r"^teacher.kind: ensemble needs a task"),
    ],
)  # fmt: skip
def test_recipes_that_have_nothing_to_learn_from_are_refused(make, sections, message):
    with pytest.raises(UserError, match=message):
        assemble.contracts(make.tiny(**NONE | sections))


def test_check_refuses_too(make, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(make.tiny(**NONE).model_dump(mode="json")))
    result = CliRunner().invoke(main, ["check", str(path)])
    assert result.exit_code == 2
    assert "task.kind: none learns from loss terms alone" in result.stderr


def test_such_a_run_predicts_nothing(make, tmp_path, unlabelled):
    folder = run(make.tiny(**SELF_SUPERVISED | {"data": unlabelled}), tmp_path / "out")
    said = r"was trained with task none and predicts nothing; initialise a model from it with model.init"
    with pytest.raises(UserError, match=said):
        checkpoint.load(folder / "seed-1")
    assert checkpoint.rebuild(folder / "seed-1").recipe.task == NoTask()
    for command in (["evaluate", str(folder)], ["predict", str(folder / "seed-1"), unlabelled["path"]]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2
        assert f"seed-1 {said}" in result.stderr
