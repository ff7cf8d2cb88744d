from dataclasses import replace

import pytest
import torch
from mmsa_dmd.reconstruction import Reconstruction

from mmsa_core import testing
from mmsa_core.types import Encoded


def loss(out, cycle=1.0):
    """The term, and what it logs."""
    full = testing.batch(1)
    term = Reconstruction(Reconstruction.Config(cycle=cycle), testing.context(full))
    return term(out, out, full).item(), {name: value.item() for name, value in term.observations.items()}


@pytest.fixture
def by_hand(decoupled):
    """Two samples of two channels: of the second only the first step is there, and it has no vision at all."""
    full = testing.batch(["text", "vision"], samples=2)
    out = decoupled(full, testing.context(full, dim=2))
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0]]])
    seen = torch.tensor([[True, True], [True, False]])
    there = {"text": seen, "vision": torch.tensor([[True, True], [False, False]])}
    off = torch.tensor([[[1.0, 1.0], [0.0, 2.0]], [[3.0, 0.0], [99.0, 99.0]]])
    again = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 6.0], [99.0, 99.0]]])
    return replace(
        out,
        encoded={m: Encoded(x, o, x.sum(dim=1)) for m, o in there.items()},
        reconstruction={"text": x + off, "vision": x - off},
        private=dict.fromkeys(there, x),
        private_again={"text": x + again, "vision": x},
    )


def test_by_hand(by_hand):
    text, vision = (1.0 + 2.0 + 4.5) / 3, (1.0 + 2.0) / 2  # mean squares of the steps that are there
    value, logged = loss(by_hand)
    assert logged == pytest.approx({"reconstruction": text + vision, "cycle": 18.0 / 3})
    assert value == pytest.approx(text + vision + 6.0)


@pytest.mark.parametrize("cycle", [0.0, 0.5])
def test_the_cycle_has_a_factor(by_hand, cycle):
    assert loss(by_hand, cycle)[0] == pytest.approx(4.0 + cycle * 6.0)


def test_where_all_steps_are_there_it_is_the_mean_square_of_each_modality(decoupled):
    full = testing.batch(3)
    full = replace(full, observed={m: torch.ones_like(o) for m, o in full.observed.items()})
    out = decoupled(full, testing.context(full))
    pairs = [(out.reconstruction[m], out.encoded[m].sequence) for m in full.observed]
    pairs += [(out.private_again[m], out.private[m]) for m in full.observed]
    assert loss(out)[0] == pytest.approx(sum(torch.nn.functional.mse_loss(a, b).item() for a, b in pairs), rel=1e-5)


def test_a_modality_that_no_sample_has_counts_nothing(by_hand):
    nowhere = {m: replace(e, observed=e.observed & (m == "text")) for m, e in by_hand.encoded.items()}
    assert loss(replace(by_hand, encoded=nowhere))[0] == pytest.approx(2.5 + 6.0)


def test_both_sides_learn(by_hand):
    out, taken = testing.leaves(by_hand)
    full = testing.batch(1)
    value = Reconstruction(Reconstruction.Config(), testing.context(full))(out, out, full)
    found = dict(zip(map(id, taken), torch.autograd.grad(value, taken, allow_unused=True), strict=True))
    for x in (out.encoded["text"].sequence, out.reconstruction["text"], out.private["text"], out.private_again["text"]):
        assert found[id(x)].any()
        assert not found[id(x)][1, 1].any()  # the step that is not there


@pytest.mark.parametrize("cycle", [0.0, 1.0])
def test_it_conforms(cycle):
    testing.check_distiller(Reconstruction, Reconstruction.Config(cycle=cycle))
