from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmsa_dmd.margin import MarginLoss, label_gap, margin_loss
from mmsa_dmd.outputs import Decoupled

from mmsa_core import testing
from mmsa_core.tasks import BinaryLabels

LABELS = st.lists(st.sampled_from([-3.0, -1.2, 0.0, 0.4, 2.0]), min_size=1, max_size=7)


def by_loops(x, y, scale, counted):
    unit = x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
    c, items = unit @ unit.T, [i for i in range(len(x)) if counted[i]]
    anchors = []
    for i in items:
        positive = [j for j in items if j != i and y[j] == y[i]]
        negative = [j for j in items if y[j] != y[i]]
        hinges = [max(0.0, scale * abs(y[i] - y[n]) - c[i, p] + c[i, n]) for p in positive for n in negative]
        if hinges:
            anchors.append(sum(hinges) / len(hinges))
    return float(sum(anchors) / len(anchors)) if anchors else 0.0


def test_by_hand():
    # Items 0 and 1 share a label; 2 is 2 away: margin 0.3. Cosines c_01 = 0, c_02 = 1, c_12 = 0.
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([1.0, 1.0, 3.0])
    loss = margin_loss(x, label_gap(y), 0.15)  # anchors 0: 0.3 - 0 + 1, 1: 0.3 - 0 + 0; 2 has no positive
    torch.testing.assert_close(loss, torch.tensor((1.3 + 0.3) / 2))


def test_gaps():
    assert label_gap(torch.tensor([1.0, -0.5])).tolist() == [[0.0, 1.5], [1.5, 0.0]]
    assert label_gap(torch.tensor([0, 3])).tolist() == [[0.0, 1.0], [1.0, 0.0]]  # classes have no distance
    assert label_gap(torch.tensor([[0, 1, 1], [1, 1, 0]])).tolist() == [[0.0, 2.0], [2.0, 0.0]]


@settings(deadline=None, max_examples=60)
@given(labels=LABELS, seed=st.integers(0, 1000), data=st.data())
def test_equals_the_triple_loop(labels, seed, data):
    x = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = torch.tensor(labels, dtype=torch.float64)
    counted = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))))
    loss = margin_loss(x, label_gap(y), 0.15, counted)
    torch.testing.assert_close(loss.item(), by_loops(x, y, 0.15, counted), rtol=1e-6, atol=1e-6)
    order = torch.tensor(data.draw(st.permutations(range(len(labels)))))
    torch.testing.assert_close(margin_loss(x[order], label_gap(y[order]), 0.15, counted[order]), loss)


def test_gradient_equals_that_of_the_table_of_triples():
    x = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.tensor([0.0, 1.0, 2.0]).repeat(3)

    def table(x):
        unit = x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
        c, gap = unit @ unit.T, label_gap(y)
        hinge = (0.15 * gap.unsqueeze(1) - c.unsqueeze(2) + c.unsqueeze(1)).relu()  # [i, p, n]
        positive, negative = (gap == 0) & ~torch.eye(9, dtype=torch.bool), gap != 0
        return hinge[positive.unsqueeze(2) & negative.unsqueeze(1)].mean()  # every anchor has as many triples

    loss, wanted = margin_loss(x, label_gap(y), 0.15), table(x)
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(torch.autograd.grad(loss, x), torch.autograd.grad(wanted, x))


def test_a_modality_that_a_sample_lacks_is_no_item():
    full = testing.batch(3, samples=6)
    made = testing.context(full)
    student = testing.outputs(full, made, 1)
    loss = MarginLoss(MarginLoss.Config(), made)(student, student, full)
    here = [(m, i) for m in full.observed for i in range(6) if full.present(m)[i]]
    assert len(here) < 18
    x = torch.stack([student.encoded[m].pooled[i] for m, i in here])
    y = torch.stack([full.target[i] for _, i in here])
    torch.testing.assert_close(loss, margin_loss(x, label_gap(y), 0.15))


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.arange(3.0)])
def test_without_anchors_it_is_zero_with_a_gradient(labels):
    x = torch.randn(3, 2, requires_grad=True)
    loss = margin_loss(x, label_gap(labels), 0.15)
    assert loss == 0
    assert not torch.autograd.grad(loss, x)[0].any()


def test_zero_items_have_a_finite_gradient():
    x = torch.zeros(4, 2, requires_grad=True)
    loss = margin_loss(x, label_gap(torch.tensor([0.0, 0.0, 1.0, 1.0])), 0.15)
    torch.testing.assert_close(loss, torch.tensor(0.15))
    assert torch.autograd.grad(loss, x)[0].isfinite().all()


def test_several_labels():
    task = BinaryLabels(names=("happy", "sad"))
    full = replace(testing.batch(2, samples=3, task=task), target=torch.tensor([[0, 1], [1, 0], [0, 1]]))
    made = testing.context(full, task)
    student = testing.outputs(full, made)
    assert MarginLoss(MarginLoss.Config(), made)(student, student, full) > 0


def test_conforms():
    testing.check_distiller(MarginLoss)


def test_it_reads_the_similarity_of_parts_where_there_is_one(decoupled):
    full = testing.batch(3, samples=8)
    made = testing.context(full)
    student = decoupled(full, made)
    loss = MarginLoss(MarginLoss.Config(), made)(student, student, full)
    here = torch.cat([full.present(m) for m in full.observed])
    x = torch.cat([student.similarity[m] for m in full.observed])[here]
    torch.testing.assert_close(loss, margin_loss(x, label_gap(full.target.repeat(3)[here]), 0.15))


def test_conforms_with_parts():
    testing.check_distiller(MarginLoss, build=Decoupled.example)
