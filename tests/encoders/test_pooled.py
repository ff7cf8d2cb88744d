import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.components import Context
from mmsa_core.encoders import masked
from mmsa_core.encoders.pooled import PooledEncoder
from mmsa_core.tasks import Regression

NAN = float("nan")


def encoder(channels=1, dim=1, **fields):
    context = Context({"audio": channels}, {"audio": 20}, dim, Regression())
    return PooledEncoder(PooledEncoder.Config(**fields), context, "audio").eval()


def test_by_hand():
    encode = encoder(layers=1)
    with torch.no_grad():
        encode.perceptron[0].weight.fill_(2.0)
        encode.perceptron[0].bias.fill_(1.0)
    x = torch.tensor([[[1.0], [NAN], [5.0]], [[NAN], [NAN], [NAN]]])
    out = encode(x, torch.tensor([[True, False, True], [False, False, False]]))
    assert out.sequence[..., 0].tolist() == [[3.0, 0.0, 11.0], [0.0, 0.0, 0.0]]
    assert out.pooled[:, 0].tolist() == [7.0, 0.0]


def test_layers_and_hidden_width():
    encode = encoder(channels=5, dim=4, layers=3, hidden=7)
    shapes = [tuple(layer.weight.shape) for layer in encode.perceptron if isinstance(layer, torch.nn.Linear)]
    assert shapes == [(7, 5), (7, 7), (4, 7)]


@settings(deadline=None, max_examples=30)
@given(mask=st.lists(st.booleans(), min_size=1, max_size=8))
def test_masked_mean_is_the_mean_of_what_is_seen(mask):
    seen = torch.tensor([mask])
    x = torch.arange(1.0, len(mask) + 1).reshape(1, -1, 1)
    found = masked.mean(x.masked_fill(~seen.unsqueeze(2), NAN), seen)
    torch.testing.assert_close(found[0], x[seen].mean(dim=0) if seen.any() else torch.zeros(1))


def test_no_gradient_reaches_a_hidden_frame():
    x = torch.tensor([[[1.0], [NAN]]], requires_grad=True)
    masked.mean(x, torch.tensor([[True, False]])).sum().backward()
    assert x.grad.tolist() == [[[1.0], [0.0]]]
