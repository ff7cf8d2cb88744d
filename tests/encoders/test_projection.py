import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsa_core import testing
from mmsa_core.attention.dropout import dropout
from mmsa_core.components import Context
from mmsa_core.encoders.projection import Projection
from mmsa_core.tasks import Regression


def encoder(kernel, channels=1, dim=1, **fields):
    context = Context({"audio": channels}, {"audio": 9}, dim, Regression())
    torch.manual_seed(0)
    skip = {"skip": False} if channels == dim and "skip" not in fields else {}
    return Projection(Projection.Config(kernel=kernel, **skip, **fields), context, "audio").eval()


def weighted(*weights, bias=None, **fields):
    """One channel to one channel, with weights given."""
    made = encoder(len(weights), bias=bias is not None, **fields)
    with torch.no_grad():
        made.convolution.weight.copy_(torch.tensor([[weights]]))
        if bias is not None:
            made.convolution.bias.fill_(bias)
    return made


def line(*values):
    """One sample of one channel; None is a frame that is hidden."""
    x = torch.tensor([[[float("nan") if v is None else v] for v in values]])
    return x, ~x.isnan().any(dim=2)


def values(out):
    return out.sequence[0, :, 0].tolist()


def test_valid_by_hand():
    out = weighted(1.0, 10.0, 100.0)(*line(1.0, 2.0, 3.0, 4.0))
    assert values(out) == [321.0, 432.0]
    assert out.pooled.tolist() == [[376.5]]


def test_same_by_hand():
    out = weighted(1.0, 10.0, 100.0, padding="same")(*line(1.0, 2.0, 3.0, 4.0))
    assert values(out) == [210.0, 321.0, 432.0, 43.0]
    assert out.pooled.tolist() == [[251.5]]


def test_an_even_kernel_looks_ahead_with_same():
    assert values(weighted(1.0, 10.0, padding="same")(*line(1.0, 2.0, 3.0))) == [21.0, 32.0, 3.0]
    assert values(weighted(1.0, 10.0, 100.0, 1000.0, padding="same")(*line(1.0, 2.0, 3.0))) == [3210.0, 321.0, 32.0]


def test_channels_are_joined():
    made = encoder(1, channels=2, dim=3)
    with torch.no_grad():
        made.convolution.weight.copy_(torch.tensor([[[1.0], [0.0]], [[0.0], [1.0]], [[1.0], [1.0]]]))
    out = made(torch.tensor([[[2.0, 5.0]]]), torch.tensor([[True]]))
    assert out.sequence.tolist() == [[[2.0, 5.0, 7.0]]]


def test_a_step_is_observed_where_one_of_its_frames_is():
    out = weighted(1.0, 10.0)(*line(1.0, None, None, 4.0, 5.0))
    assert out.observed.tolist() == [[True, False, True, True]]
    assert values(out) == [1.0, 0.0, 40.0, 54.0]
    torch.testing.assert_close(out.pooled, torch.tensor([[95.0 / 3]]))


def test_steps_are_frames_with_same():
    out = weighted(1.0, 10.0, 100.0, padding="same")(*line(1.0, None, 3.0))
    assert out.observed.tolist() == [[True, False, True]]
    assert values(out) == [10.0, 0.0, 30.0]


def test_the_bias_is_no_frame():
    out = weighted(1.0, 1.0, bias=7.0)(*line(1.0, None, None))
    assert values(out) == [8.0, 0.0]
    assert out.pooled.tolist() == [[8.0]]


@pytest.mark.parametrize(("given", "wanted"), [((2.0,), [2.0]), ((2.0, 3.0), [32.0]), ((None, 3.0), [30.0])])
def test_a_sequence_shorter_than_the_kernel_is_filled_to_one_step(given, wanted):
    made = weighted(1.0, 10.0, 100.0, 1000.0)
    out = made(*line(*given))
    assert values(out) == wanted
    assert out.observed.tolist() == [[True]]
    assert made.length(len(given)) == 1


def test_a_short_sequence_without_frames_is_one_step_that_is_not_there():
    out = weighted(1.0, 10.0, 100.0)(*line(None, None))
    assert out.observed.tolist() == [[False]]
    assert out.pooled.tolist() == [[0.0]]


@settings(deadline=None, max_examples=40)
@given(time=st.integers(1, 12), kernel=st.integers(1, 7), padding=st.sampled_from(["valid", "same"]))
def test_length_is_the_number_of_steps(time, kernel, padding):
    made = encoder(kernel, channels=2, dim=3, padding=padding)
    out = made(torch.randn(1, time, 2), torch.ones(1, time, dtype=torch.bool))
    assert out.sequence.shape == (1, made.length(time), 3)
    assert out.observed.shape == (1, made.length(time))
    assert made.length(time) == (time if padding == "same" else max(1, time - kernel + 1))


@pytest.mark.parametrize("kernel", [1, 5])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_features_of_the_models_width_stay_as_they_are(kernel, padding):
    """The published code crashes here where the kernel is above 1."""
    made = encoder(kernel, channels=4, dim=4, padding=padding, skip=True)
    x, seen = torch.randn(2, 6, 4), torch.rand(2, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    out = made(x, seen)
    assert torch.equal(out.sequence, x.masked_fill(~seen.unsqueeze(2), 0.0))
    assert torch.equal(out.observed, seen)
    assert made.length(6) == 6
    assert not list(made.parameters())


def test_features_of_the_models_width_are_projected_without_skip():
    made = encoder(3, channels=4, dim=4, skip=False)
    assert [tuple(p.shape) for p in made.parameters()] == [(4, 4, 3)]
    assert made.length(6) == 4


def test_the_bias_is_an_option():
    assert [name for name, _ in encoder(3, channels=2, dim=4, bias=True).named_parameters()] == [
        "convolution.weight",
        "convolution.bias",
    ]


@pytest.mark.parametrize("skip", [True, False])
def test_dropout_is_of_the_features_and_in_training_only(skip):
    made = encoder(1, channels=4, dim=4, skip=skip, dropout=0.5)
    x, seen = torch.ones(1, 50, 4), torch.ones(1, 50, dtype=torch.bool)
    wanted = made(x, seen).sequence
    assert torch.equal(wanted, made(x, seen).sequence)
    torch.manual_seed(1)
    kept = dropout(x, 0.5, training=True)
    torch.manual_seed(1)
    found = made.train()(x, seen).sequence
    assert torch.equal(found, made.eval()(kept, seen).sequence)
    assert not torch.equal(found, wanted)


@pytest.mark.parametrize("field", [{"kernel": 0}, {"padding": "full"}, {"dropout": 1.0}])
def test_what_does_not_fit_is_refused(field):
    with pytest.raises(ValidationError, match=next(iter(field))):
        Projection.Config(**field)


@pytest.mark.parametrize(
    "fields", [{"kernel": 5, "padding": "same"}, {"kernel": 4, "padding": "same", "bias": True}, {"kernel": 1}]
)
def test_it_conforms(fields):
    testing.check_encoder(Projection, Projection.Config(**fields), dim=8)


def test_equal_width_conforms():
    testing.check_encoder(Projection, Projection.Config(kernel=5), dim=4, counts=(1,))
