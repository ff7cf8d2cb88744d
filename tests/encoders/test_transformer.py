import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsa_core.components import Context
from mmsa_core.encoders.transformer import TransformerEncoder, sinusoid
from mmsa_core.errors import UserError
from mmsa_core.tasks import Regression


def encoder(dim=8, channels=3, **fields):
    context = Context({"audio": channels}, {"audio": 20}, dim, Regression())
    config = TransformerEncoder.Config(**{"layers": 1, "heads": 2, **fields})
    torch.manual_seed(0)
    return TransformerEncoder(config, context, "audio").eval()


def test_positions_by_hand():
    table = sinusoid(torch.zeros(1, 3, 4))
    slow = 1 / 100  # 10000^(-2/4)
    wanted = [[math.sin(t), math.cos(t), math.sin(t * slow), math.cos(t * slow)] for t in range(3)]
    torch.testing.assert_close(table, torch.tensor(wanted))
    assert sinusoid(torch.zeros(1, 3, 5)).shape == (3, 5)


@pytest.mark.parametrize("positions", ["none", "sinusoidal"])
def test_without_neighbours_and_positions_a_hidden_frame_might_as_well_not_exist(positions):
    encode = encoder(kernel=1, positions=positions)
    x, seen = torch.randn(1, 6, 3), torch.tensor([[True, False, True, True, False, True]])
    with_holes = encode(x, seen)
    without = encode(x[:, seen[0]], torch.ones(1, 4, dtype=torch.bool))
    same = torch.allclose(with_holes.sequence[seen], without.sequence[0], atol=1e-6)
    assert same == (positions == "none"), "positions count hidden frames too"


def test_convolution_by_hand():
    encode = encoder(dim=1, channels=1, heads=1, positions="none")
    encode.layers = torch.nn.Identity()
    encode.layers.forward = lambda x, src_key_padding_mask: x
    with torch.no_grad():
        encode.convolution.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        encode.convolution.bias.zero_()
    seen = torch.tensor([[True, True, False, True]])
    out = encode(torch.tensor([[[1.0], [2.0], [5.0], [3.0]]]), seen)
    torch.testing.assert_close(out.sequence[0, :, 0], torch.tensor([210.0, 21.0, 0.0, 30.0]))
    torch.testing.assert_close(out.pooled, torch.tensor([[87.0]]))


@settings(deadline=None, max_examples=20)
@given(mask=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=4))
def test_hidden_frames_never_matter(mask):
    encode, seen = encoder(), torch.tensor(mask)
    x = torch.randn(*seen.shape, 3, generator=torch.Generator().manual_seed(1))
    spoiled = x.masked_fill(~seen.unsqueeze(2), float("nan"))
    one, other = encode(x, seen), encode(spoiled, seen)
    assert torch.equal(one.sequence, other.sequence)
    assert torch.equal(one.pooled, other.pooled)
    assert not one.pooled[~seen.any(dim=1)].any()


def test_heads_that_do_not_fit_are_named():
    with pytest.raises(UserError, match=r"of 'audio': 8 heads .* width 30.*fit: 1, 2, 3, 5, 6, 10, 15, 30"):
        encoder(dim=30, heads=8)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValidationError, match="kernel 4 is even; choose 3 or 5"):
        TransformerEncoder.Config(kernel=4)
