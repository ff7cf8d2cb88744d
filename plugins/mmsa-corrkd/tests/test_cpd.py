import math
from dataclasses import replace
from operator import mul

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmsa_corrkd.cpd import CategoryPrototype, category_prototype, membership, prototypes, similarities

from mmsa_core import testing
from mmsa_core.tasks import IGNORE, BinaryLabels, Bins, Classification

ROWS = st.lists(st.lists(st.floats(-4, 4), min_size=3, max_size=3), min_size=1, max_size=6)


def run(h_s, h_t, target, task, **fields):
    """The term, its observations and the student's gradient for given representations."""
    full = replace(testing.batch(1, samples=len(h_s), task=task), target=target)
    made = testing.context(full, task)
    student, teacher = testing.outputs(full, made, 1), testing.outputs(full, made, 2)
    h_s, h_t = h_s.clone().requires_grad_(), h_t.clone().requires_grad_()
    term = CategoryPrototype(CategoryPrototype.Config(**fields), made)
    loss = term(replace(student, joint=h_s), replace(teacher, joint=h_t), full)
    loss.backward()
    assert h_t.grad is None
    assert h_s.grad.isfinite().all()
    return loss.detach(), term.observations["class_coverage"]


def by_loops(h_s, h_t, category, classes):
    """Sum of |M^s - M^t| over all samples and classes, and how many classes there are in the batch."""
    total, present = 0.0, 0
    for k in range(classes):
        of_k = [i for i, c in enumerate(category) if c == k]
        present += bool(of_k)
        for i in range(len(category)) if of_k else ():
            m = []
            for h in (h_s.tolist(), h_t.tolist()):
                c = [sum(h[j][d] for j in of_k) / len(of_k) for d in range(len(h[0]))]
                length = math.hypot(*h[i]) * math.hypot(*c)
                m.append(sum(map(mul, h[i], c)) / length if length else 0.0)
            total += abs(m[0] - m[1])
    return total, present


def test_by_hand():
    h_s = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    h_t = torch.tensor([[3.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    target = torch.tensor([0, 0, 1])
    # Student: c_0 = (1/2, 1), c_1 = 0; teacher: c_0 = (4, 0), c_1 = (0, 1).
    # M^s = [[1/sqrt 5, 0], [2/sqrt 5, 0], [0, 0]], M^t = [[1, 0], [1, 0], [0, 1]]
    total = (1 - 1 / math.sqrt(5)) + (1 - 2 / math.sqrt(5)) + 1
    loss, coverage = run(h_s, h_t, target, Classification(classes=2))
    torch.testing.assert_close(loss, torch.tensor(total / 6))
    assert coverage == 1


@pytest.mark.parametrize(("absent", "classes"), [("skip", 2), ("zero", 4)])
def test_absent_classes(absent, classes):
    h_s, h_t, target = torch.randn(5, 3).double(), torch.randn(5, 3).double(), torch.tensor([1, 3, 3, 1, 1])
    total, present = by_loops(h_s, h_t, target, 4)
    loss, coverage = run(h_s, h_t, target, Classification(classes=4), absent=absent)
    torch.testing.assert_close(loss.item(), total / (5 * classes), rtol=1e-9, atol=0)
    assert (present, coverage) == (2, 0.5)


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, data=st.data())
def test_equals_the_loops(rows, data):
    h_s = torch.tensor(rows, dtype=torch.float64).round(decimals=3)  # far from underflow, zero rows included
    h_t = h_s.flip(0).roll(1, dims=1) + 0.25
    category = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows))))
    member = membership(category.unsqueeze(1), 3)
    m_s, m_t = similarities(h_s, prototypes(h_s, member)), similarities(h_t, prototypes(h_t, member))
    total, present = by_loops(h_s, h_t, category, 3)
    torch.testing.assert_close(category_prototype(m_s, m_t, 1).item() * len(rows), total)
    loss, coverage = run(h_s, h_t, category, Classification(classes=3))
    torch.testing.assert_close(loss.item(), total / (len(rows) * present))
    torch.testing.assert_close(coverage.item(), present / 3)


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, scale=st.floats(0.1, 10), data=st.data())
def test_order_and_scale(rows, scale, data):
    task = Classification(classes=2)
    h_s = torch.tensor(rows, dtype=torch.float64).round(decimals=3)
    h_t, target = h_s.cos(), torch.arange(len(rows)) % 2
    loss, _ = run(h_s, h_t, target, task)
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    torch.testing.assert_close(run(h_s[order], h_t[order], target[order], task)[0], loss)
    # Directions alone matter; each network may have its own scale.
    torch.testing.assert_close(run(h_s * scale, h_t, target, task)[0], loss)


def test_identical_networks_and_zero_representations():
    h, target, task = torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), Classification(classes=3)
    assert run(h, h, target, task)[0] == 0
    assert run(torch.zeros(4, 3), h, target, task)[0] > 0
    assert run(torch.zeros(4, 3), torch.zeros(4, 3), target, task)[0] == 0
    member = membership(target.unsqueeze(1), 3)
    gradient = torch.func.grad(lambda x: similarities(x, prototypes(h, member)).sum())(torch.zeros(4, 3))
    assert not gradient.any()


def test_samples_without_a_class_have_rows_but_no_prototype():
    task = Bins(classes=2)
    h_s, h_t, target = torch.randn(3, 2), torch.randn(3, 2), torch.tensor([-1.0, 0.0, 2.0])
    category = task.categories(target)
    assert category[1] == IGNORE
    total, _ = by_loops(h_s, h_t, category[:, 0].tolist(), 2)
    torch.testing.assert_close(run(h_s, h_t, target, task)[0], torch.tensor(total / 6))
    loss, coverage = run(h_s, h_t, torch.zeros(3), task)
    assert (loss, coverage) == (0, 0)


def test_every_label_has_classes_of_its_own():
    h_s, h_t, labels = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([[0, 1], [1, 1], [0, 1], [1, 1]])
    first, second = (by_loops(h_s, h_t, labels[:, g].tolist(), 2) for g in (0, 1))
    loss, coverage = run(h_s, h_t, labels, BinaryLabels(names=("happy", "sad")))
    torch.testing.assert_close(loss, torch.tensor((first[0] + second[0]) / (4 * 3)))
    assert coverage == 3 / 4  # nobody lacks the second label


@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_conforms(absent):
    testing.check_distiller(CategoryPrototype, CategoryPrototype.Config(absent=absent))
