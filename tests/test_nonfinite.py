"""Numbers gone wrong: noticed with term, step and samples; skipped or rolled back, and resumed to the same bytes."""

import json
import math

import pytest
import torch

from mmsa_core.display import Display
from mmsa_core.distillers.kd import LogitDistillation
from mmsa_core.errors import UserError
from mmsa_core.training import experiment, nonfinite
from mmsa_core.training.runner import Trainer

CPU = torch.device("cpu")
TERMS = {"kd": {"name": "kd"}}


def recipe_of(make, mode, **more):
    train = {"epochs": 3, "batch_size": 4, "lr": 1e-3, "on_nonfinite": mode} | more
    return make.tiny(train=train, teacher={"kind": "self"}, distillers=TERMS, save={"steps": 1})


@pytest.fixture
def spoiled(monkeypatch):
    """Term `kd` has a value, or a gradient alone, that is not finite at the steps chosen; each so many times."""
    losses = Trainer.losses

    def spoil(at, times=1, value=math.nan, gradient=False):
        left = dict.fromkeys(at, times)

        def wrong(self, batch, epoch):
            values, seen = losses(self, batch, epoch)
            if left.get(self.progress.steps + 1, 0):
                left[self.progress.steps + 1] -= 1
                zero = sum(p.sum() for p in self.network.parameters()) * 0
                values["kd"] = values["kd"] + (zero.abs().sqrt() if gradient else zero + value)
            return values, seen

        monkeypatch.setattr(Trainer, "losses", wrong)

    return spoil


def fitted(make, recipe):
    stages = make.stages(recipe, heard := make.Heard())
    trainer, _ = stages.student()
    trainer.fit(stages.train, stages.valid)
    return trainer, heard


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_stop_names_term_step_and_samples(make, spoiled, value):
    spoiled([8], value=value)
    stages = make.stages(recipe_of(make, "stop"))
    trainer, _ = stages.student()
    before = {}
    step = trainer.step
    trainer.step = lambda *given: (
        before.update({k: v.clone() for k, v in trainer.network.state_dict().items()}) or step(*given)
    )
    with pytest.raises(UserError) as caught:
        trainer.fit(stages.train, stages.valid)
    said = str(caught.value)
    assert f"student: loss/kd became {value} at step 8 (epoch 2), in a batch of 4 samples: " in said
    assert any(name in said for name in stages.train.ids)
    assert "no state was saved before it" in said
    assert all(torch.equal(v, before[k]) for k, v in trainer.network.state_dict().items())  # nothing was moved by it


def test_a_gradient_alone(make, spoiled):
    spoiled([8], gradient=True)
    stages = make.stages(recipe_of(make, "stop"))
    trainer, _ = stages.student()
    with pytest.raises(UserError, match=r"the gradient of the objective was not finite at step 8 \(epoch 2\)"):
        trainer.fit(stages.train, stages.valid)


def test_where_looks_are_rare_it_is_found_before_anything_is_kept(make, spoiled):
    spoiled([8])
    stages = make.stages(recipe_of(make, "stop"))
    trainer, _ = stages.student()
    trainer.guard.every = 50  # as on CUDA
    with pytest.raises(UserError, match=r"loss/kd became nan at step 8 \(epoch 2\)"):
        trainer.fit(stages.train, stages.valid)
    assert trainer.progress.epoch == 1


def test_the_samples_that_are_at_fault(make, monkeypatch):
    stages = make.stages(recipe_of(make, "stop"))
    trainer, _ = stages.student()
    row = 5
    forward = trainer.network.forward

    def broken(batch):
        outputs = forward(batch)
        outputs.logits[batch.index == row] *= math.nan
        return outputs

    monkeypatch.setattr(trainer.network, "forward", broken)
    with pytest.raises(UserError, match=f"by themselves not finite: {stages.train.ids[row]}[.]"):
        trainer.fit(stages.train, stages.valid)


def test_skip_leaves_the_update_out(make, spoiled):
    spoiled([2, 9])
    trainer, heard = fitted(make, recipe_of(make, "skip"))
    assert trainer.progress.skipped == 2
    assert [row["step"] for row in heard.steps if row.get("skipped")] == [2, 9]
    assert len([w for w in heard.warnings if "The update is skipped" in w]) == 2
    assert all(p.isfinite().all() for p in trainer.network.parameters())
    assert all(math.isfinite(row["train/loss/kd"]) for row in heard.epochs)


def test_rollback_halves_the_rate_from_where_the_epoch_began(make, spoiled):
    spoiled([8])
    trainer, heard = fitted(make, recipe_of(make, "rollback"))
    assert trainer.progress.rollbacks == 1
    assert [row["step"] for row in heard.steps] == list(range(1, 19))  # 22 samples: 6 batches in each of 3 epochs
    assert heard.series("lr") == [1e-3] * 6 + [5e-4] * 12
    assert any(
        "Back to behind step 6" in warning and "rollback 1 of at most 3" in warning for warning in heard.warnings
    )


def test_rollbacks_end(make, spoiled):
    spoiled([8], times=4)
    with pytest.raises(UserError, match="Training stops after 3 rollbacks"):
        fitted(make, recipe_of(make, "rollback"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("mode", ["skip", "rollback"])
@pytest.mark.parametrize("at", [3, 7, 10])
def test_resumed_to_the_same_bytes(make, tmp_path, monkeypatch, mode, at):
    """The loss is not finite at step 10 as long as the learning rate is the recipe's."""
    losses, step = Trainer.losses, Trainer.step

    def wrong(self, batch, epoch):
        values, seen = losses(self, batch, epoch)
        if self.progress.steps == 9 and not self.progress.rollbacks:
            values["kd"] = values["kd"] * math.nan
        return values, seen

    monkeypatch.setattr(Trainer, "losses", wrong)

    def until(self, *given):
        if self.progress.steps == at:
            raise Killed
        step(self, *given)

    recipe = recipe_of(make, mode)
    whole = experiment.train(recipe, tmp_path / "whole", CPU, "test", Display())
    monkeypatch.setattr(Trainer, "step", until)
    with pytest.raises(Killed):
        experiment.train(recipe, tmp_path / "out", CPU, "test", Display())
    monkeypatch.setattr(Trainer, "step", step)
    experiment.train(recipe, tmp_path / "out", CPU, "test", Display(), resumed=True)
    for name in ("student.safetensors", "metrics.jsonl", "predictions.csv", "results.json"):
        assert (whole / "seed-1" / name).read_bytes() == (tmp_path / "out" / "seed-1" / name).read_bytes(), name
    rows = [json.loads(line) for line in (whole / "seed-1" / "metrics.jsonl").read_text().splitlines()]
    assert any(row.get("skipped") for row in rows) == (mode == "skip")


def test_a_state_before_it_is_named(make, tmp_path, spoiled):
    spoiled([8])
    with pytest.raises(UserError, match="the last good state is that behind step 7, in "):
        experiment.train(recipe_of(make, "stop"), tmp_path / "out", CPU, "test", Display())


def test_an_observation_that_is_not_finite_is_left_out_and_named(make, monkeypatch):
    forward, seen = LogitDistillation.forward, []

    def observed(self, student, teacher, batch):
        seen.append(1)
        self.observe(odd=student.logits.new_tensor(math.nan if len(seen) % 2 else 2.0))
        return forward(self, student, teacher, batch)

    monkeypatch.setattr(LogitDistillation, "forward", observed)
    _, heard = fitted(make, recipe_of(make, "stop"))
    assert all(row["train/kd/odd"] == 2.0 for row in heard.epochs)
    assert any("kd/odd is not finite in some steps" in warning for warning in heard.warnings)


def test_what_teaches_nothing_by_hand():
    means = {"gradient/kd": 0.0, "gradient/task": 1.0, "encoder_gradient/text": 1.0, "encoder_gradient/audio": 1e-8}
    assert nonfinite.silent(means, ["loss/kd", "loss/total", "lr"]) == {
        "loss/kd": "loss/kd was constant",
        "gradient/kd": "the gradient of the term 'kd' was zero",
        "encoder_gradient/audio": "the gradient of the encoder of 'audio' vanished",
    }


def test_a_term_that_teaches_nothing_is_named_once(make, monkeypatch):
    monkeypatch.setattr(LogitDistillation, "forward", lambda self, student, *_: student.logits.sum() * 0 + 1)
    recipe = recipe_of(make, "stop", epochs=5).model_copy(update={"log": make.tiny(log={"gradients_every": 1}).log})
    _, heard = fitted(make, recipe)
    assert [w for w in heard.warnings if "constant" in w] == ["student: loss/kd was constant in 3 epochs on end"]
    assert len([w for w in heard.warnings if "the gradient of the term 'kd' was zero" in w]) == 1
    assert not [w for w in heard.warnings if "encoder" in w]
