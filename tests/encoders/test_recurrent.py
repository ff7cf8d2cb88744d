import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.components import Context
from mmsa_core.encoders.recurrent import RecurrentEncoder, reversal
from mmsa_core.tasks import Regression


def encoder(**fields):
    context = Context({"audio": 3}, {"audio": 20}, 4, Regression())
    torch.manual_seed(0)
    return RecurrentEncoder(RecurrentEncoder.Config(**fields), context, "audio").eval()


def by_hand(encode, frames):
    """Sequence and last states of one sample that consists of observed frames only, in torch's own way."""
    x = frames.unsqueeze(0)
    for cells in encode.layers:
        forward, *backward = cells
        states = [forward(x)[0]] + [cell(x.flip(1))[0].flip(1) for cell in backward]
        last = torch.cat([states[0][:, -1], *(s[:, 0] for s in states[1:])], dim=1)
        x = torch.cat(states, dim=2)
    return encode.project(x)[0], encode.project(last)[0]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_reads_the_observed_frames_one_after_another(cell, bidirectional, layers):
    encode = encoder(cell=cell, bidirectional=bidirectional, layers=layers)
    x = torch.randn(3, 5, 3)
    seen = torch.tensor([[True, False, True, True, False], [True] * 5, [False, False, False, False, True]])
    out = encode(x, seen)
    for i in range(3):
        sequence, last = by_hand(encode, x[i, seen[i]])
        torch.testing.assert_close(out.sequence[i, seen[i]], sequence)
        torch.testing.assert_close(out.pooled[i], last)


def test_mean_pooling():
    encode = encoder(pooling="mean", bidirectional=True)
    seen = torch.tensor([[True, False, True, True]])
    out = encode(torch.randn(1, 4, 3), seen)
    torch.testing.assert_close(out.pooled[0], out.sequence[0, seen[0]].mean(dim=0))


def test_torch_stacks_its_layers_in_the_same_way():
    encode, x = encoder(layers=2, bidirectional=True), torch.randn(2, 5, 3)
    whole = torch.nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    names = [f"{kind}_l{depth}{end}" for depth in (0, 1) for end in ("", "_reverse") for kind in KINDS]
    cells = [cell for layer in encode.layers for cell in layer]
    given_names = [f"{kind}_l0" for _ in cells for kind in KINDS]
    with torch.no_grad():
        for i, (name, source) in enumerate(zip(names, given_names, strict=True)):
            getattr(whole, name).copy_(getattr(cells[i // len(KINDS)], source))
    sequence = encode(x, torch.ones(2, 5, dtype=torch.bool)).sequence
    torch.testing.assert_close(sequence, encode.project(whole(x)[0]))


KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def test_reversal_by_hand():
    assert reversal(torch.tensor([[0], [1], [3]]), 4).tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [2, 1, 0, 3]]


@settings(deadline=None, max_examples=20)
@given(mask=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_hidden_frames_are_no_steps(mask):
    encode, seen = encoder(bidirectional=True), torch.tensor(mask)
    x = torch.randn(*seen.shape, 3, generator=torch.Generator().manual_seed(1))
    out = encode(x.masked_fill(~seen.unsqueeze(2), float("nan")), seen)
    assert out.sequence.isfinite().all()
    assert not out.sequence[~seen].any()
    assert not out.pooled[~seen.any(dim=1)].any()
    torch.testing.assert_close(out.pooled, encode(x, seen).pooled)
