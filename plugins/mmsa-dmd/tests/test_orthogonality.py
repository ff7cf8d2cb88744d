from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from mmsa_dmd.orthogonality import Orthogonality

from mmsa_core import testing
from mmsa_core.types import Encoded


def loss(out, axis="frame"):
    full = testing.batch(1)
    return Orthogonality(Orthogonality.Config(axis=axis), testing.context(full))(out, out, full)


@pytest.fixture
def by_hand(decoupled):
    """Two samples of two steps and two channels; the last step of the second sample is not there."""
    full = testing.batch(["text"], samples=2)
    out = decoupled(full, testing.context(full, dim=2))
    s = torch.tensor([[[3.0, 4.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]])
    c = torch.tensor([[[4.0, 3.0], [0.0, 2.0]], [[-1.0, -1.0], [1.0, 0.0]]])
    seen = torch.tensor([[True, True], [True, False]])
    return replace(out, encoded={"text": Encoded(s, seen, s[:, 0])}, private={"text": s}, shared={"text": c})


def test_by_hand(by_hand):
    assert loss(by_hand).item() == pytest.approx((24 / 25 + 0 + 0) / 3)  # an opposite part is as good as none


def test_modalities_are_summed(by_hand):
    both = {"text": by_hand.encoded["text"], "audio": by_hand.encoded["text"]}
    both["audio"] = replace(both["audio"], observed=torch.tensor([[False, False], [True, True]]))
    out = replace(
        by_hand,
        encoded=both,
        private=dict.fromkeys(both, by_hand.private["text"]),
        shared=dict.fromkeys(both, by_hand.shared["text"]),
    )
    assert loss(out).item() == pytest.approx(24 / 25 / 3 + (0 + 1) / 2)


def test_along_the_batch_by_hand(by_hand):
    """Step 0: (3, 1) with (4, -1) and (4, 1) with (3, -1); step 1: (1, 1) with (0, 1) and zeros."""
    first = [11 / (10 * 17) ** 0.5, 11 / (17 * 10) ** 0.5]
    assert loss(by_hand, "batch").item() == pytest.approx((sum(first) + 1 / 2**0.5 + 0) / 4)


def test_it_is_torchs_cosine_embedding_loss_of_the_steps_that_are_there(decoupled):
    full = testing.batch(3)
    out = decoupled(full, testing.context(full))
    wanted = 0.0
    for m, seen in full.observed.items():
        apart = -torch.ones(int(seen.sum()))
        wanted += F.cosine_embedding_loss(out.private[m][seen], out.shared[m][seen], apart)
    torch.testing.assert_close(loss(out), wanted)


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_lengths_do_not_matter(by_hand, scale):
    longer = {m: scale * x for m, x in by_hand.private.items()}
    torch.testing.assert_close(loss(replace(by_hand, private=longer)), loss(by_hand))


def test_zero_parts_have_a_finite_gradient(by_hand):
    s = torch.zeros(2, 2, 2, requires_grad=True)
    value = loss(replace(by_hand, private={"text": s}, shared={"text": s.detach()}))
    assert value == 0
    assert not torch.autograd.grad(value, s)[0].any()


def test_the_published_slip_depends_on_padding():
    with pytest.raises(AssertionError, match="how far the student is padded changes the loss"):
        testing.check_distiller(Orthogonality, Orthogonality.Config(axis="batch"))
