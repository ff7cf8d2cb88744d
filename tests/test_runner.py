"""The way of a batch: terms, updates, validation, and what makes two runs comparable."""

import math

import pytest
import torch

from mmsa_core.components import OptimizerConfig
from mmsa_core.corpora import batching, data
from mmsa_core.errors import UserError
from mmsa_core.evaluation.asking import predict
from mmsa_core.missing import Draw
from mmsa_core.training.optimization import optimizer


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.needs("mmsa-corrkd")
def test_every_term_is_logged_before_and_after_its_weight(make):
    terms = {"scd": {"name": "corrkd.scd", "weight": 0.5}, "rcd": {"name": "corrkd.rcd"}}
    _, heard = make.fitted(make.corrkd(distillers=terms, log={"gradients_every": 2}))
    rows = [row for row in heard.steps if row["stage"] == "student"]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]  # 22 samples in batches of 8: the last has 6
    for row in rows:
        assert row["weighted/scd"] == pytest.approx(0.5 * row["loss/scd"])
        assert row["loss/total"] == pytest.approx(row["loss/task"] + row["weighted/scd"] + row["loss/rcd"], rel=1e-5)
        assert 0 <= row["hidden/text"] <= 1
        assert 0 <= row["scd/active_margins"] <= 1
        assert row["lr"] == 1e-3
        assert math.isfinite(row["rcd/bound_target"])
        assert ("gradient/scd" in row) == (row["step"] % 2 == 1)
    assert all(row["gradient/task"] > 0 for row in rows if "gradient/task" in row)
    teacher = [row for row in heard.steps if row["stage"] == "teacher"]
    assert teacher
    assert all("loss/scd" not in row and "hidden/text" not in row for row in teacher)


def test_the_same_run_twice_is_the_same(make):
    one, first = make.fitted(make.corrkd())
    other, second = make.fitted(make.corrkd())
    assert same(weights(one), weights(other))
    assert first.steps == second.steps
    assert first.epochs == second.epochs


@pytest.mark.needs("mmsa-corrkd")
def test_terms_do_not_disturb_the_run(make):
    """Masks, start, batch order and dropout are those of a run without terms, critics and all."""
    nothing = {label: {"name": f"corrkd.{label}", "weight": 0.0} for label in ("scd", "cpd", "rcd")}
    with_terms, heard = make.fitted(make.corrkd(distillers=nothing))
    without, plain = make.fitted(make.tiny())
    assert heard.series("loss/task") == plain.series("loss/task")
    assert same(weights(with_terms), weights(without))


def test_the_teachers_cache_changes_no_bit(make):
    kept, heard = make.fitted(make.corrkd(teacher={"kind": "trained", "cache": True}))
    fresh, also = make.fitted(make.corrkd(teacher={"kind": "trained", "cache": False}))
    assert kept.teacher.kept is not None
    assert fresh.teacher.kept is None
    for name in ("loss/scd", "loss/cpd", "loss/rcd", "loss/task"):
        assert heard.series(name) == also.series(name)
    assert same(weights(kept), weights(fresh))


def test_a_teacher_is_frozen_and_without_gradient(make):
    stages = make.stages(make.corrkd())
    trainer, taught = stages.student()
    before = {name: tensor.clone() for name, tensor in taught.state_dict().items()}
    batch = next(batching.batches(stages.train, trainer.task, 8))
    outputs = trainer.teacher(batch, trainer.network(batch))
    assert not outputs.joint.requires_grad
    assert not outputs.logits.requires_grad
    trainer.fit(stages.train, stages.valid)
    assert same(before, taught.state_dict())
    assert not taught.training


def test_the_teacher_sees_complete_samples_and_the_student_masked_ones(make):
    stages = make.stages(make.corrkd())
    trainer, _ = stages.student()
    batch = next(batching.batches(stages.train, trainer.task, 8))
    _, seen = trainer.losses(batch, epoch=1)
    assert any((seen.observed[m] != batch.observed[m]).any() for m in batch.observed)
    network = trainer.teacher.network
    with torch.no_grad():
        expected = network(batch).joint
    assert torch.equal(trainer.teacher(batch, None).joint, expected)


def test_masks_change_with_the_epoch_and_not_with_the_batch(make):
    stages = make.stages(make.tiny())
    trainer, _ = stages.student()
    whole = next(batching.batches(stages.train, trainer.task, 22))
    masker = trainer.masker
    all_at_once = masker(whole, Draw("train", 1, 3)).observed
    backwards = torch.arange(22).flip(0)
    for size in (1, 5, 22):
        for batch in batching.batches(stages.train, trainer.task, size, backwards):
            seen = masker(batch, Draw("train", 1, 3)).observed
            for modality, observed in seen.items():
                time = observed.shape[1]  # of the longest sequence in the batch
                assert torch.equal(observed, all_at_once[modality][batch.index, :time])
                assert not all_at_once[modality][batch.index, time:].any()
    other = masker(whole, Draw("train", 1, 4)).observed
    assert any((other[m] != all_at_once[m]).any() for m in other)


def test_the_best_epoch_on_validation_is_kept(make):
    recipe = make.tiny(train={"epochs": 5, "batch_size": 8, "lr": 0.05, "select": "mae"})
    stages = make.stages(recipe, heard := make.Heard())
    trainer, _ = stages.student()
    fit = trainer.fit(stages.train, stages.valid)
    values = [row["valid/mae"] for row in heard.epochs]
    assert fit.best_value == min(values)
    assert fit.best_epoch == 1 + values.index(min(values))
    assert trainer.validate(stages.valid)["mae"] == fit.best_value
    assert [row["epoch"] for row in heard.epochs if row["best"]][-1] == fit.best_epoch


def test_patience_ends_a_training(make):
    recipe = make.tiny(train={"epochs": 40, "batch_size": 8, "lr": 0.3, "patience": 2})
    stages = make.stages(recipe)
    trainer, _ = stages.student()
    fit = trainer.fit(stages.train, stages.valid)
    assert fit.epochs == fit.best_epoch + 2 < 40


def test_selecting_by_something_that_is_not_measured(make):
    recipe = make.tiny(train={"epochs": 1, "batch_size": 8, "select": "f1_nonzero"})
    with pytest.raises(UserError, match=r"train.select: no validation value 'f1_nonzero'; choose one of: loss, mae"):
        make.stages(recipe).rehearse()


def test_cosine_schedule_by_hand(make):
    train = {"epochs": 2, "batch_size": 11, "lr": 1.0e-3, "schedule": "cosine"}
    _, heard = make.fitted(make.tiny(train=train))
    expected = [1e-3 * 0.5 * (1 + math.cos(math.pi * n / 4)) for n in range(4)]
    assert heard.series("lr") == pytest.approx(expected)


def test_the_average_of_weights_is_what_is_kept(make):
    """With a decay near 1 the averaged network stays at the first update; the plain one moves on."""
    train = {"epochs": 3, "batch_size": 22, "lr": 0.01}
    masker = {"name": "frame_dropout", "rate": [0.0, 1.0], "keep_one": False}  # the best epoch is not the first
    averaged, _ = make.fitted(make.tiny(masker=masker, train=train | {"average": "ema", "ema_decay": 0.999999}))
    plain, _ = make.fitted(make.tiny(masker=masker, train=train))
    first, _ = make.fitted(make.tiny(masker=masker, train=train | {"epochs": 1}))
    kept, moved, start = weights(averaged), weights(plain), weights(first)
    name = "fusion.head.weight"
    torch.testing.assert_close(kept[name], start[name], atol=1e-5, rtol=0)
    assert (moved[name] - start[name]).abs().max() > 1e-4


@pytest.mark.needs("mmsa-corrkd")
def test_own_optimizer_of_a_term(make):
    config = {"name": "corrkd.rcd", "optimizer": {"algorithm": "sgd", "lr": 0.25}}
    stages = make.stages(make.corrkd(distillers={"rcd": config}))
    trainer, _ = stages.student()
    student, critic = trainer.updates.optimizers
    assert isinstance(student, torch.optim.Adam)
    assert isinstance(critic, torch.optim.SGD)
    assert critic.param_groups[0]["lr"] == 0.25
    own = {id(p) for p in trainer.terms.modules.parameters()}
    assert {id(p) for p in critic.param_groups[0]["params"]} == own
    assert not own & {id(p) for p in student.param_groups[0]["params"]}


@pytest.mark.parametrize(("algorithm", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizers(algorithm, kind):
    parameter = torch.nn.Parameter(torch.ones(1))
    made = optimizer(OptimizerConfig(algorithm=algorithm, lr=0.5, weight_decay=0.1, momentum=0.0), [parameter])
    assert type(made).__name__ == kind
    assert made.param_groups[0]["weight_decay"] == 0.1


def test_a_loss_that_is_not_finite_stops_the_training(make):
    recipe = make.tiny(train={"epochs": 3, "batch_size": 8, "lr": 1e30})
    with pytest.raises(UserError, match=r"student: loss/task became .* at step \d+ \(epoch \d\)"):
        make.fitted(recipe)


@pytest.mark.needs("mmsa-corrkd")
def test_a_term_that_complains_warns_once(make):
    """A critic that cannot move stays at -2 ln 2 and is reported after three epochs, once."""
    config = {"name": "corrkd.rcd", "optimizer": {"algorithm": "sgd", "lr": 1e-9}}
    train = {"epochs": 5, "batch_size": 8}
    _, heard = make.fitted(make.corrkd(distillers={"rcd": config}, train=train))
    assert len([w for w in heard.warnings if "2 ln 2" in w]) == 1
    assert heard.warnings[0].startswith("distillers.rcd: ")


@pytest.mark.parametrize("size", [1, 4, 256])
def test_predictions_do_not_depend_on_the_batch(make, size):
    trainer, _ = make.fitted(make.tiny())
    split = data.load(make.tiny()).splits["test"]
    whole, target = predict(trainer.network, split, trainer.task, [data.NO_DRAW], None)
    parts, same_target = predict(trainer.network, split, trainer.task, [data.NO_DRAW], None, size)
    torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-5)
    assert torch.equal(target, same_target)


def test_global_random_state_is_left_alone(make):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make.fitted(make.corrkd())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_on_cuda_is_close_to_one_on_the_cpu(make):
    from mmsa_core.training.stages import Stages

    series = []
    for name in ("cpu", "cuda"):
        recipe, heard, device = make.corrkd(), make.Heard(), torch.device(name)
        loaded = data.load(recipe)
        on_device = {n: batching.to_device(s, device) for n, s in loaded.splits.items()}
        found = Stages(recipe, data.replace(loaded, splits=on_device).training, 1, device, heard)
        trainer, _ = found.student()
        trainer.network.eval()
        values, seen = trainer.losses(next(batching.batches(found.train, recipe.task, 8)), 1)
        series.append(({k: v.item() for k, v in values.items()}, {m: o.cpu() for m, o in seen.observed.items()}))
    (cpu, cpu_seen), (cuda, cuda_seen) = series
    assert cpu == pytest.approx(cuda, rel=1e-3)
    assert all(torch.equal(cpu_seen[m], cuda_seen[m]) for m in cpu_seen)
