import logging
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmsa_corrkd.critic import CriticConfig
from mmsa_corrkd.rcd import INDEPENDENT, ResponseConsistency, jensen_shannon, negatives, split

from mmsa_core import testing
from mmsa_core.errors import UserError
from mmsa_core.tasks import BinaryLabels, Bins, Classification

CPU = torch.device("cpu")


def make(task, samples=6, labels=None, **fields):
    """A term, and student, teacher and batch that fit it."""
    full = testing.batch(2, samples=samples, task=task)
    full = full if labels is None else replace(full, target=labels)
    made = testing.context(full, task)
    torch.manual_seed(0)
    term = ResponseConsistency(ResponseConsistency.Config(**fields), made)
    return term, testing.outputs(full, made, 1), testing.outputs(full, made, 2), full


def softplus(x):
    return math.log1p(math.exp(x))


def test_split_by_hand():
    logits = torch.tensor([2.0, 3.0, 5.0]).log()  # probabilities 0.2, 0.3, 0.5
    binary, nontarget = (x.exp() for x in split(logits.expand(3, 3), torch.tensor([0, 1, 2])))
    torch.testing.assert_close(binary, torch.tensor([[0.2, 0.8], [0.3, 0.7], [0.5, 0.5]]))
    torch.testing.assert_close(nontarget, torch.tensor([[3 / 8, 5 / 8], [2 / 7, 5 / 7], [0.4, 0.6]]))


def test_split_of_confident_responses_is_finite():
    logits = torch.tensor([[500.0, 0.0, -500.0], [500.0, 0.0, -500.0]], requires_grad=True)
    parts = split(logits, torch.tensor([0, 2]))
    assert all(part.isfinite().all() for part in parts)
    torch.testing.assert_close(parts[0][0, 1], torch.tensor(-500.0))  # log(1 - p_t), which is log(0) in float32
    assert torch.autograd.grad(sum(part.sum() for part in parts), logits)[0].isfinite().all()


def test_bound_by_hand():
    scores = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    agree = (-softplus(-1.0) - softplus(-3.0)) / 2
    off, everyone = (softplus(-2.0) + softplus(0.5)) / 2, sum(map(softplus, (1.0, -2.0, 0.5, 3.0))) / 4
    wanted = {"others": agree - off, "next": agree - off, "all": agree - everyone}
    for kind, value in wanted.items():
        bound = jensen_shannon(scores, torch.ones(2), negatives(kind, 2, CPU).float())
        torch.testing.assert_close(bound, torch.tensor(value))


def test_negatives():
    assert negatives("next", 3, CPU).nonzero().tolist() == [[0, 2], [1, 0], [2, 1]]  # student j meets teacher j + 1
    assert negatives("others", 2, CPU).tolist() == [[False, True], [True, False]]
    assert negatives("all", 2, CPU).all()
    assert not negatives("next", 1, CPU).any()
    assert not negatives("others", 1, CPU).any()


@settings(deadline=None, max_examples=40)
@given(
    scores=st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.floats(-40, 40), min_size=n, max_size=n), min_size=n, max_size=n)
    ),
    kind=st.sampled_from(["others", "next", "all"]),
)
def test_bound_equals_the_loops(scores, kind):
    n = len(scores)
    pairs = [(i, j) for i in range(n) for j in range(n) if negatives(kind, n, CPU)[i, j]]
    wanted = 0.0
    if pairs:
        wanted = sum(-softplus(-scores[i][i]) for i in range(n)) / n
        wanted -= sum(softplus(scores[i][j]) for i, j in pairs) / len(pairs)
    x = torch.tensor(scores, dtype=torch.float64)
    bound = jensen_shannon(x, x.new_ones(n), negatives(kind, n, CPU).double())
    torch.testing.assert_close(bound.item(), wanted, rtol=1e-9, atol=1e-12)
    assert bound <= 0 or not pairs


@pytest.mark.parametrize("critic", [{"kind": "mlp", "hidden": 5, "layers": 1}, {"kind": "bilinear"}])
def test_critic_scores_every_pair(critic):
    net = CriticConfig(**critic).build(3)
    x, y = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    scores = net(x, y)
    assert scores.shape == (2, 4, 4)
    for i in range(4):
        for j in range(4):
            one = net(x[1, i : i + 1], y[1, j : j + 1])
            torch.testing.assert_close(scores[1, i, j], one[0, 0])


def test_term_is_minus_the_weighted_bounds():
    term, student, teacher, full = make(
        Classification(classes=4), labels=torch.tensor([0, 1, 2, 3, 0, 1]), nontarget=0.5
    )
    loss = term(student, teacher, full)
    seen = term.observations
    torch.testing.assert_close(loss, -seen["bound_target"] - 0.5 * seen["bound_nontarget"])
    r_s, r_t = (split(x.logits, full.target) for x in (student, teacher))
    for part, s, t in zip(("target", "nontarget"), r_s, r_t, strict=True):
        scores = term.critics[part](t.exp(), s.exp())
        torch.testing.assert_close(seen[f"bound_{part}"], jensen_shannon(scores, torch.ones(6), 1 - torch.eye(6)))


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(range(6)), kind=st.sampled_from(["others", "all"]), temperature=st.floats(0.5, 4))
def test_order_and_temperature(order, kind, temperature):
    task = Classification(classes=4)
    term, student, teacher, full = make(task, negatives=kind, temperature=temperature)
    loss, index = term(student, teacher, full), torch.tensor(order)
    torch.testing.assert_close(term(*(testing.rows(x, index) for x in (student, teacher, full))), loss)
    plain, _, _, _ = make(task, negatives=kind)
    cooled = (replace(x, logits=x.logits / temperature) for x in (student, teacher))
    torch.testing.assert_close(plain(*cooled, full), loss)


def test_weights_of_the_critic_come_from_the_seed_alone():
    states = [make(Bins())[0].state_dict() for _ in range(2)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_two_classes_leave_the_nontarget_part_out_and_say_so_once(caplog):
    with caplog.at_level(logging.WARNING, logger="mmsa"):
        term, student, teacher, full = make(Bins(classes=2))
        for _ in range(3):
            term(student, teacher, full)
    assert len(caplog.records) == 1
    assert "constant 1" in caplog.text
    assert set(term.observations) == {"bound_target"}
    assert set(term.critics) == {"target"}
    caplog.clear()
    make(Bins(classes=2), nontarget=0.0)
    make(Bins(classes=3))
    assert not caplog.records


@pytest.mark.parametrize(
    ("task", "fields"), [(Bins(classes=2), {"target": 0.0}), (Bins(), {"target": 0, "nontarget": 0})]
)
def test_no_part_left(task, fields):
    with pytest.raises(UserError, match="no part is left"):
        make(task, **fields)


@pytest.mark.parametrize("kind", ["others", "all"])
def test_samples_without_a_class_take_no_part(kind):
    target = torch.tensor([1.0, 0.0, -2.0, 0.0, 0.0, 3.0])
    term, student, teacher, full = make(Bins(classes=2), labels=target, negatives=kind)
    kept = torch.tensor([0, 2, 5])
    loss = term(*(testing.rows(x, kept) for x in (student, teacher, full)))
    torch.testing.assert_close(term(student, teacher, full), loss)
    logits = student.logits.detach().requires_grad_()
    term(replace(student, logits=logits), teacher, full).backward()
    assert logits.grad.any(dim=1).nonzero()[:, 0].tolist() == kept.tolist()


@pytest.mark.parametrize("kind", ["others", "next", "all"])
@pytest.mark.parametrize(("samples", "target"), [(1, None), (3, torch.zeros(3)), (3, torch.tensor([0.0, 2.0, 0.0]))])
def test_nothing_to_pair(kind, samples, target):
    term, student, teacher, full = make(Bins(classes=2), samples, target, negatives=kind)
    logits = student.logits.detach().requires_grad_()
    loss = term(replace(student, logits=logits), teacher, full)
    loss.backward()
    assert logits.grad.isfinite().all()
    known = 0 if target is None else int((target != 0).sum())
    if kind != "all" or (target is not None and known == 0):
        assert loss == 0
        assert not logits.grad.any()
    if samples == 1 and kind != "all":
        assert not term.observations, "a batch without pairs would pull the mean of the bounds towards 0"


def test_labels_are_paired_within_themselves():
    task = BinaryLabels(names=("happy", "sad"))
    labels = torch.tensor([[0, 1], [1, 1], [0, 0]])
    term, student, teacher, full = make(task, 3, labels)
    joint = term(student, teacher, full)
    single = Classification(classes=2)
    bounds = []
    for g in range(2):
        alone = [replace(x, logits=x.logits[:, 2 * g : 2 * g + 2]) for x in (student, teacher)]
        term.task = single
        bounds.append(term(*alone, replace(full, target=labels[:, g])))
    torch.testing.assert_close(joint, torch.stack(bounds).mean())


def test_an_optimizer_that_names_one_field_keeps_the_critics_rate():
    config = ResponseConsistency.Config.model_validate({"optimizer": {"weight_decay": 0.1}})
    assert config.optimizer.lr == 1e-2
    assert ResponseConsistency.Config(optimizer=None).optimizer is None


def test_critic_learns_and_the_diagnosis_tells():
    term, student, teacher, full = make(Classification(classes=3), samples=24, nontarget=0.0)
    message = term.diagnose({"bound_target": INDEPENDENT + 0.01})
    assert "optimizer.lr" in message
    optimizer = torch.optim.Adam(term.parameters(), lr=1e-2)
    student = replace(student, logits=teacher.logits)
    for _ in range(100):
        optimizer.zero_grad()
        term(student, teacher, full).backward()
        optimizer.step()
    means = {name: value.item() for name, value in term.observations.items()}
    assert means["bound_target"] > INDEPENDENT + 0.1
    assert term.diagnose(means) is None
    assert term.diagnose({}) is None


@pytest.mark.parametrize("fields", [{}, {"negatives": "all"}, {"negatives": "next"}, {"critic": {"kind": "bilinear"}}])
def test_conforms(fields):
    config = ResponseConsistency.Config.model_validate(fields)
    testing.check_distiller(ResponseConsistency, config, invariant=config.negatives != "next")
