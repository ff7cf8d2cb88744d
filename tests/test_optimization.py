"""From gradients to updates: windows of mini-batches, clipping, schedules and rates, by hand and against torch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmsa_core.components import Context, Distiller, DistillerConfig, Encoder, OptimizerConfig
from mmsa_core.corpora.corpus import SCORE, Split
from mmsa_core.recipes.sections import Train
from mmsa_core.tasks import Regression
from mmsa_core.training.optimization import Plateau, Updates, by_rate
from mmsa_core.training.runner import Terms, Trainer
from mmsa_core.types import Outputs

CONTEXT = Context(channels={"x": 1}, lengths={"x": 1}, dim=1, task=Regression())


class Scale(nn.Module):
    """Predicts w times the feature, beginning with w = 0."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return Outputs({}, batch.features["x"][:, 0], batch.features["x"][:, 0] * self.w)


class Pull(Distiller):
    """(p - 1)^2 of a parameter p of its own, beginning with 0: the same gradient as the network's."""

    def __init__(self):
        super().__init__(DistillerConfig(), CONTEXT)
        self.p = nn.Parameter(torch.zeros(()))

    def forward(self, student, teacher, batch):
        return (self.p - 1) ** 2


class Counting:
    """A teacher that counts the student's updates."""

    def __init__(self):
        self.updates = []

    def __call__(self, batch, student, training=True):
        return student

    def updated(self, student):
        self.updates.append(round(student.w.item(), 6))


def ones(rows):
    """Samples whose feature and score are 1."""
    x, seen = {"x": torch.ones(rows, 1, 1)}, {"x": torch.ones(rows, 1, dtype=torch.bool)}
    return Split.padded(tuple(f"s{n}" for n in range(rows)), x, seen, {SCORE: torch.ones(rows)})


def trained(heard=None, rows=5, terms=None, **settings):
    """Plain gradient descent at 0.1 on (w - 1)^2, whose gradient is 2 (w - 1), with one sample in a mini-batch."""
    train = Train(**{"epochs": 1, "batch_size": 1, "algorithm": "sgd", "lr": 0.1, **settings})
    teacher = Counting()
    task = Regression(loss="mse")
    trainer = Trainer("student", Scale(), task, train, 1, teacher=teacher, terms=terms, watcher=heard)
    trainer.fit(ones(rows), ones(2))
    return trainer, teacher.updates


def test_gradients_are_summed_over_a_window_by_hand(make):
    _, updates = trained(heard := make.Heard(), accumulate=2)
    assert updates == [0.4, 0.64, 0.712]  # 0.1 * 2 * 2, then 0.1 * 2 * 1.2, then the single last one: 0.1 * 0.72
    assert heard.series("step") == [1, 2, 3, 4, 5]
    assert heard.series("loss/task") == pytest.approx([1.0, 1.0, 0.36, 0.36, 0.1296])


def test_a_window_does_not_span_two_epochs():
    _, updates = trained(accumulate=2, epochs=2, rows=3)
    assert updates[:2] == [0.4, 0.52]
    assert len(updates) == 4
    _, updates = trained(accumulate=7, epochs=2, rows=3)
    assert updates == [0.6, 0.84]


def test_the_average_of_weights_follows_updates():
    trainer, updates = trained(accumulate=2, average="ema", ema_decay=0.75)
    by_hand = 0.75 * (0.75 * updates[0] + 0.25 * updates[1]) + 0.25 * updates[2]
    assert trainer.average.network.w.item() == pytest.approx(by_hand)


def test_elements_are_clipped_on_the_running_sum_by_hand():
    _, updates = trained(accumulate=2, clip_value=1.5, rows=2)
    assert updates == [0.15]  # -2 becomes -1.5, with -2 more -3.5, which becomes -1.5
    _, updates = trained(accumulate=2, clip_value=3.0, rows=2)
    assert updates == [0.3]
    _, updates = trained(accumulate=2, clip_value=1.5, clip=1.0, rows=2)
    assert updates == [0.1]  # the norm is clipped before the update


def test_the_terms_own_parameters_are_clipped_by_value_and_not_by_norm():
    terms = Terms(modules=nn.ModuleDict({"pull": Pull()}))
    trainer, updates = trained(terms=terms, clip_value=1.5, clip=1.0, rows=1)
    assert updates == [0.1]
    assert trainer.terms.modules["pull"].p.item() == pytest.approx(0.15)


SERIES = [5.0, 4.0, 4.0, 3.9999, 3.9, math.nan, 3.9, 3.9, 3.9, 3.8, -1.0, -1.00005, -1.0, -2.0, -2.1, -2.1, -2.1, -2.1]


def by_torch(losses, factor, patience):
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(made, factor=factor, patience=patience)
    rates = []
    for loss in losses:
        scheduler.step(loss)
        rates.append(made.param_groups[0]["lr"])
    return rates


def by_us(losses, factor, patience):
    plateau, rates = Plateau(factor, patience), []
    for loss in losses:
        plateau.hear(loss)
        rates.append(plateau.factor)
    return rates


@pytest.mark.parametrize(("factor", "patience"), [(0.5, 0), (0.5, 1), (0.1, 2), (0.9, 5)])
def test_a_plateau_is_torchs(factor, patience):
    rates = by_us(SERIES, factor, patience)
    assert rates == pytest.approx(by_torch(SERIES, factor, patience))
    assert rates[-1] < 1 or patience == 5


@given(st.lists(st.floats(-3, 3), max_size=20), st.integers(0, 4))
def test_a_plateau_of_any_series_is_torchs(losses, patience):
    assert by_us(losses, 0.5, patience) == pytest.approx(by_torch(losses, 0.5, patience))


def test_a_plateau_in_a_training(make):
    """The loss on validation grows from the second epoch on, because the steps overshoot."""
    heard = make.Heard()
    trained(heard, rows=1, epochs=6, lr=1.2, schedule="plateau", plateau_factor=0.25, plateau_patience=1)
    losses = [row["valid/loss"] for row in heard.epochs]
    expected = [1.2 * factor for factor in [1.0, *by_torch(losses, 0.25, 1)[:-1]]]
    assert heard.series("lr") == pytest.approx(expected)
    assert expected[-1] == pytest.approx(0.3)


class Slow(Encoder):
    """Three linear maps: one at a rate of its own, one frozen, one as the recipe says."""

    def __init__(self):
        super().__init__(None, CONTEXT, "x")
        self.pretrained, self.frozen, self.head = (
            nn.Linear(1, 1),
            nn.Linear(1, 1).requires_grad_(False),
            nn.Linear(1, 1),
        )

    def own_rates(self):
        return [(self.pretrained, 0.01), (self.frozen, 0.02)]

    def forward(self, features, observed):
        raise NotImplementedError


class Wrapping(nn.Module):
    """A network with such an encoder and something else."""

    def __init__(self):
        super().__init__()
        self.encoders, self.fusion = nn.ModuleDict({"x": Slow()}), nn.Linear(1, 1, bias=False)


def test_rates_of_an_encoders_own():
    network = Wrapping()
    encoder = network.encoders["x"]
    found = {rate: {*parameters} for rate, parameters in by_rate(network, 0.5).items()}
    assert found == {0.01: {*encoder.pretrained.parameters()}, 0.5: {*encoder.head.parameters(), network.fusion.weight}}


def test_an_encoder_without_rates_of_its_own_learns_at_the_recipes(make):
    stages = make.stages(make.tiny())
    network = stages.network(stages.recipe.model, "student", stages.train)
    found = by_rate(network, 0.5)
    assert all(a is b for a, b in zip(found.pop(0.5), network.parameters(), strict=True))
    assert not found


def test_own_rates_follow_the_schedule_by_hand():
    network = Wrapping()
    train = Train(epochs=1, batch_size=1, algorithm="sgd", lr=0.5, schedule="cosine")
    updates = Updates(train, network, Terms())
    assert updates.set_rates(done=1, total=2) == pytest.approx(0.25)
    assert [group["lr"] for group in updates.optimizers[0].param_groups] == pytest.approx([0.005, 0.25])
    before = {name: p.clone() for name, p in network.named_parameters()}
    updates.add(torch.stack([parameter.sum() for parameter in network.parameters() if parameter.requires_grad]).sum())
    updates.update()
    moved = {name: (before[name] - p).flatten()[0].item() for name, p in network.named_parameters()}
    assert moved["encoders.x.pretrained.weight"] == pytest.approx(0.005, abs=1e-6)
    assert moved["encoders.x.head.weight"] == moved["fusion.weight"] == pytest.approx(0.25, abs=1e-6)
    assert moved["encoders.x.frozen.weight"] == 0


def test_frozen_parameters_are_neither_clipped_nor_counted():
    """Of the gradients 3, 4 and (frozen) 12 the norm is 5."""
    network = nn.ModuleList([Scale(), Scale(), Scale()])
    network[2].requires_grad_(False)
    terms = Terms(modules=nn.ModuleDict({"pull": Pull().requires_grad_(False)}))
    updates = Updates(Train(epochs=1, batch_size=1, algorithm="sgd", lr=1.0, clip=1.0, clip_value=10.0), network, terms)
    assert len(updates.optimizers) == 1  # nothing of the term learns
    before = [module.w.item() for module in network]
    updates.add(sum(g * module.w.sum() for module, g in zip(network, (3.0, 4.0, 12.0), strict=True)))
    updates.update()
    moved = [module.w.item() - old for module, old in zip(network, before, strict=True)]
    assert moved == pytest.approx([-0.6, -0.8, 0.0])
    assert network[2].w.grad is None


def test_own_optimizers_of_terms_follow_the_schedule():
    terms = Terms(
        modules=nn.ModuleDict({"pull": Pull()}), optimizers={"pull": OptimizerConfig(algorithm="sgd", lr=0.25)}
    )
    updates = Updates(Train(epochs=1, batch_size=1, lr=0.5, schedule="plateau", plateau_patience=0), Scale(), terms)
    for loss in (1.0, 1.0):
        updates.validated(loss)
    assert updates.set_rates(0, 1) == 0.25
    assert [each.param_groups[0]["lr"] for each in updates.optimizers] == [0.25, 0.125]


def test_what_no_loss_asks_for_is_not_moved_by_what_moved_it_before():
    network = nn.ModuleList([Scale(), Scale()])
    updates = Updates(Train(epochs=1, batch_size=1, lr=0.1, weight_decay=0.1), network, Terms())
    updates.add(network[0].w.sum() + network[1].w.sum())
    updates.update()
    before = network[1].w.item()
    updates.add(network[0].w.sum())
    updates.update()
    assert network[1].w.item() == before
    updates.add(network[1].w.sum())  # accumulated: the first mini-batch asks for one, the second for the other
    updates.add(network[0].w.sum())
    updates.update()
    assert network[1].w.item() < before
