from dataclasses import replace

import pytest
import torch
from mmsa_dmd.outputs import Node
from mmsa_dmd.supervision import BranchSupervision

from mmsa_core import testing
from mmsa_core.components import DistillerConfig
from mmsa_core.tasks import Bins


def loss(out, full, task=testing.TASKS[0]):
    return BranchSupervision(DistillerConfig(), testing.context(full, task))(out, out, full)


def everywhere(full):
    """All modalities in all samples."""
    return replace(full, observed={m: torch.ones_like(o) for m, o in full.observed.items()})


@pytest.fixture
def by_hand(decoupled):
    """Two modalities; the second sample lacks audio, whose predictions are far off there."""
    full = replace(everywhere(testing.batch(["text", "audio"], samples=2)), target=torch.tensor([0.0, 1.0]))
    full.observed["audio"][1] = False
    out = decoupled(full, testing.context(full))

    def nodes(**logits):
        return {m: Node(torch.tensor(f).unsqueeze(1), torch.zeros(2, 8)) for m, f in logits.items()}

    return full, replace(
        out,
        homogeneous=nodes(text=[1.0, 3.0], audio=[5.0, 99.0]),
        heterogeneous=nodes(text=[0.0, 1.0], audio=[-1.0, 99.0]),
        shared_logits=torch.tensor([[2.0], [2.0]]),
    )


def test_regression_by_hand(by_hand):
    full, out = by_hand
    assert loss(out, full).item() == pytest.approx((1 + 2) / 2 + 5 + 0 + 1 + (2 + 1) / 2)


def test_a_branch_of_a_missing_modality_gets_no_gradient(by_hand):
    full, out = by_hand
    out, _ = testing.leaves(out)
    nodes = out.homogeneous["audio"], out.heterogeneous["audio"], out.homogeneous["text"]
    found = torch.autograd.grad(loss(out, full), [node.logits for node in nodes])
    assert [g.flatten().tolist() for g in found] == [[1.0, 0.0], [-1.0, 0.0], [0.5, 0.5]]


def test_a_modality_that_no_sample_has_counts_nothing(by_hand):
    full, out = by_hand
    full = replace(full, observed={"text": full.observed["text"], "audio": full.observed["audio"] & False})
    gone = replace(out.encoded["audio"], observed=full.observed["audio"])
    nobody = replace(out, encoded=out.encoded | {"audio": gone}, present=torch.tensor([[True, False], [True, False]]))
    assert loss(nobody, full).item() == pytest.approx((1 + 2) / 2 + 0 + (2 + 1) / 2)


@pytest.mark.parametrize("task", testing.TASKS, ids=lambda task: f"{task.kind} {task.width}")
@pytest.mark.parametrize("count", [1, 3])
def test_where_all_are_present_it_is_the_tasks_loss_of_every_branch(decoupled, task, count):
    full = everywhere(testing.batch(count, task=task))
    out = decoupled(full, testing.context(full, task))
    branches = [n.logits for nodes in (out.homogeneous, out.heterogeneous) for n in nodes.values()]
    assert len(branches) == 2 * count
    wanted = sum(task.objective(f, full.target) for f in [*branches, out.shared_logits])
    torch.testing.assert_close(loss(out, full, task), wanted)


def test_zero_scores_have_no_class_of_two(decoupled):
    """The loss is that of the other samples; a modality that only such samples have counts nothing."""
    task = Bins(classes=2)
    full = everywhere(testing.batch(["text", "audio"], samples=4, task=task))
    full = replace(full, target=torch.tensor([1.0, 0.0, -2.0, 0.0]))
    full.observed["audio"][[0, 2]] = False
    out = decoupled(full, testing.context(full, task))
    some = torch.tensor([0, 2])
    target = full.target[some]
    branches = [out.homogeneous["text"].logits, out.heterogeneous["text"].logits, out.shared_logits]
    wanted = sum(task.objective(f[some], target) for f in branches)
    torch.testing.assert_close(loss(out, full, task), wanted)


def test_without_any_class_it_is_zero_with_a_gradient(decoupled):
    task = Bins(classes=2)
    full = replace(testing.batch(3, task=task), target=torch.zeros(6))
    out, taken = testing.leaves(decoupled(full, testing.context(full, task)))
    value = loss(out, full, task)
    assert value == 0
    found = torch.autograd.grad(value, taken, allow_unused=True, materialize_grads=True)
    assert not any(g.any() for g in found)
