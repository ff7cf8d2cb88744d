"""Large batches in blocks of rows: the same numbers, and less memory."""

import pytest
import torch
from mmsa_corrkd import blocks
from mmsa_corrkd.rcd import ResponseConsistency
from mmsa_corrkd.scd import SampleContrastive

from mmsa_core import testing
from mmsa_core.tasks import Bins


def terms(pairs, monkeypatch, component, **fields):
    """The loss, what was observed, and all gradients, with so many numbers at once."""
    monkeypatch.setattr(blocks, "PAIRS", pairs)
    task = Bins(classes=3)
    full = testing.batch(3, 24, task=task)
    made = testing.context(full, task, 8, 0)
    torch.manual_seed(0)
    term = component(component.Config(**fields), made)
    (student, taken), (teacher, _) = (testing.leaves(testing.outputs(full, made, seed)) for seed in (1, 2))
    loss = term(student, teacher, full)
    wanted = [*taken, *term.parameters()]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return loss, term.observations, [g for g in found if g is not None]


@pytest.mark.parametrize("pairs", [1, 24 * 5, 24 * 23])
@pytest.mark.parametrize(
    ("component", "fields"),
    [
        (SampleContrastive, {}),
        (SampleContrastive, {"reduction": "sum", "distance": "euclidean"}),
        (ResponseConsistency, {}),
        (ResponseConsistency, {"critic": {"kind": "bilinear"}, "negatives": "next"}),
    ],
)
def test_blocks_change_no_number(pairs, component, fields, monkeypatch):
    whole, seen, gradients = terms(2**40, monkeypatch, component, **fields)
    loss, also_seen, also_gradients = terms(pairs, monkeypatch, component, **fields)
    torch.testing.assert_close(loss, whole)
    torch.testing.assert_close(also_seen, seen)
    torch.testing.assert_close(also_gradients, gradients)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_pairs(monkeypatch):
    monkeypatch.setattr(blocks, "PAIRS", 64 * 4)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    h = torch.randn(64, 8, requires_grad=True)
    share = lambda x, y, first: torch.cdist(x, y).square().sum()  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        blocks.summed(share, h, h.detach())
    assert max(kept) <= h.numel()
