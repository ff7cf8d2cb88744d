"""Stacked Transformers against one Transformer at a time, in torch's own operations and left to autograd."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mmsa_core.attention import core, positions
from mmsa_core.attention.frames import Frames
from mmsa_core.attention.stack import Rates, Stack

pytestmark = pytest.mark.usefixtures("few")

DIM, HEADS, BATCH = 8, 2, 3
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
HOLES = torch.tensor([[True] * 6, [False] * 6, [False, True, False, True, False, False]])
"""A whole sequence, one that is missing altogether, and one whose first and last frames are missing."""


def build(count, layers=2, rates=None, dim=DIM, **fields):
    """In double precision, with layer norms and biases that matter."""
    torch.manual_seed(0)
    rates = Rates([0.0] * count) if rates is None else rates
    stack = Stack(count, dim, HEADS, layers, rates, **fields).double().eval()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return stack


def sequences(lengths, dim=DIM, holes=False):
    """One sequence of each length; with `holes`, missing frames are zero, as an encoder leaves them."""
    found = []
    for n, time in enumerate(lengths):
        source = torch.Generator().manual_seed(100 + n)
        x = torch.randn(BATCH, time, dim, generator=source, dtype=torch.float64)
        real = HOLES.roll(n, dims=0)[:, :time] if holes else None
        x = x if real is None else x.masked_fill(~real.unsqueeze(2), 0.0)
        found.append(Frames(x.requires_grad_(), real))
    return found


def norm(x, scale, shift):
    return F.layer_norm(x, (x.shape[-1],), scale, shift)


def single(stack, member):
    """The weights of one Transformer of a stack, layer by layer, and its last layer norm."""
    w = {name.removeprefix("weights."): x for name, x in stack.named_parameters()}
    layers = []
    for row in range(member, stack.layers * len(stack.scale), len(stack.scale)):
        products = [(w[name][row], w[f"{name}_bias"][row, 0]) for name in ("attend", "out", "inner", "outer")]
        norms = [(w[f"{name}_scale"][row, :, 0], w[f"{name}_shift"][row, 0]) for name in ("attend", "inner")]
        layers.append((*norms, *products))
    return layers, (w["scale"][member, 0], w["shift"][member, 0])


def embedded(frames):
    """Scaled, with positions counted from 1; a missing frame has none."""
    time, dim = frames.x.shape[1:]
    table = positions.table(time, dim, frames.x.device, frames.x.dtype)
    at = torch.arange(1, time + 1).expand(len(frames.x), -1)
    return math.sqrt(dim) * frames.x + table[at if frames.real is None else at * frames.real]


def attended(q, k, v, heads, seen):
    """Torch's attention over the keys that each query sees; zero where it sees none."""
    some = seen.any(dim=2, keepdim=True)
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=(seen | ~some).unsqueeze(1))
    return found.transpose(1, 2).flatten(2).masked_fill(~some, 0.0)


def reference(stack, member, x, source=None):
    """One Transformer of a stack: pre-norm, the source embedded once and normed at every layer."""
    layers, last = single(stack, member)
    key = x if source is None else source
    state, read = embedded(x), embedded(key)
    queries, keys = state.shape[1], read.shape[1]
    seen = torch.ones(len(state), queries, keys, dtype=torch.bool)
    if stack.causal:
        longer = (torch.tensor(standing(stack, x)) - torch.tensor(standing(stack, key))).abs()
        seen &= torch.arange(keys) <= torch.arange(queries).unsqueeze(1) + longer.view(-1, 1, 1)
    if stack.hide and key.real is not None:
        seen &= key.real.unsqueeze(1)
    for first, second, (weight, bias), out, inner, outer in layers:
        to_q, to_k, to_v = ((w.T, b) for w, b in zip(weight.chunk(3, dim=1), bias.chunk(3), strict=True))
        n = norm(state, *first)
        k, v = (F.linear(n if source is None else norm(read, *first), *to) for to in (to_k, to_v))
        found = attended(F.linear(n, *to_q), k, v, stack.heads, seen)
        state = state + F.linear(found, out[0].T, out[1])
        hidden = F.linear(norm(state, *second), inner[0].T, inner[1]).relu()
        state = state + F.linear(hidden, outer[0].T, outer[1])
    return norm(state, *last)


def every(x, last):
    """All of the Transformers, or none."""
    return range(len(x)) if last else ()


def standing(stack, x):
    """The frame that stands for each sequence: the last one, or with `hide` the last one that is there."""
    whole = not stack.hide or x.real is None
    return [x.x.shape[1] - 1 if whole else max([0, *real.nonzero().flatten().tolist()]) for real in _rows(x)]


def _rows(x):
    return [None] * len(x.x) if x.real is None else x.real


def check(stack, x, source=(), last=False):
    """Outputs and the gradients of all parameters and sequences are those of the reference."""
    found = stack(x, source, last=every(x, last))
    wanted = [reference(stack, i, of, source[i] if i < len(source) else None) for i, of in enumerate(x)]
    if last:
        wanted = [w[torch.arange(BATCH), standing(stack, of)] for w, of in zip(wanted, x, strict=True)]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours, theirs, **CLOSE)
    names = [name for name, _ in stack.named_parameters()]
    leaves = [*stack.parameters(), *{id(f): f.x for f in (*x, *source)}.values()]
    names += [f"sequence {n}" for n in range(len(leaves) - len(names))]
    factors = [torch.randn_like(w) for w in wanted]
    ours, theirs = (
        torch.autograd.grad(out, leaves, factors, allow_unused=True, materialize_grads=True) for out in (found, wanted)
    )
    for name, a, b in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


SHAPES = {
    "sources of one length": (([5, 5], [5, 5]), ()),
    "sources of other lengths": (([5, 5, 3, 4], [3, 6, 5, 6]), ()),
    "alone": (([], []), (5, 5)),
    "alone of several lengths": (([], []), (4, 6, 4, 1)),
    "both in one group": (([4, 4], [4, 4]), (4,)),
    "both in several groups": (([4, 3, 6], [4, 5, 4]), (4, 6, 3)),
}
"""Lengths of queries and sources, and of those who read themselves."""


def made(shape, holes=False, **fields):
    (queries, sources), alone = SHAPES[shape]
    parts = sequences([*queries, *alone, *sources], holes=holes)
    count = len(queries) + len(alone)
    return build(count, **fields), parts[:count], parts[count:]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_whole_sequences(shape, causal, last):
    check(*made(shape, causal=causal), last)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_missing_frames_are_no_keys_with_hide(shape, causal, last):
    check(*made(shape, holes=True, causal=causal, hide=True), last)


@pytest.mark.parametrize("last", [True, False])
def test_missing_frames_are_keys_without_position_without_hide(last):
    check(*made("both in several groups", holes=True), last)


@pytest.mark.parametrize(("layers", "hide"), [(1, False), (1, True), (3, True)])
def test_any_number_of_layers(layers, hide):
    check(*made("both in one group", holes=hide, hide=hide, layers=layers), last=True)


def test_sequences_with_and_without_a_mask_in_one_group():
    stack, x, source = made("both in one group", holes=True, hide=True)
    check(stack, [replace(x[0], real=None), *x[1:]], [source[0], replace(source[1], real=None)])


def test_one_sequence_in_several_places():
    """As in crossmodal attention, where a modality is query and source at once: its gradients add up."""
    a, b = sequences([4, 4])
    check(build(4), [a, b, a, b], [b, a])


@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_random_masks(data):
    stack, x, source = made("both in several groups", hide=True, layers=1, causal=data.draw(st.booleans()))

    def masked(frames):
        count = frames.x[:, :, 0].numel()
        real = torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count))).view(BATCH, -1)
        return Frames(frames.x.detach().masked_fill(~real.unsqueeze(2), 0.0).requires_grad_(), real)

    check(stack, [masked(f) for f in x], [masked(f) for f in source], last=data.draw(st.booleans()))


@pytest.fixture(params=[1, 60])
def pieces(request, monkeypatch):
    """Attention in pieces of one sample, and of a few (of up to 36 weights in each of two heads)."""
    monkeypatch.setattr(core, "PIECE", request.param)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("hide", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_in_pieces(hide, last):
    check(*made("both in several groups", holes=True, hide=hide), last)


@pytest.mark.usefixtures("pieces")
def test_pieces_have_the_same_dropout(monkeypatch):
    stack, x, source = made("both in one group", holes=True, hide=True, rates=Rates([0.4] * 3))
    found = {}
    for piece in (core.PIECE, 2**19):
        monkeypatch.setattr(core, "PIECE", piece)
        torch.manual_seed(2)
        out = stack.train()(x, source)
        found[piece] = *out, *torch.autograd.grad(sum(o.square().sum() for o in out), list(stack.parameters()))
    ours, whole = found.values()
    torch.testing.assert_close(ours, whole, **CLOSE)


@pytest.mark.usefixtures("pieces")
def test_the_place_in_a_batch_does_not_matter_to_the_last_bit():
    stack, *parts = made("both in one group")
    parts, order = [[Frames(f.x.float()) for f in part] for part in parts], torch.tensor([2, 0, 1])
    moved = [[Frames(f.x[order]) for f in part] for part in parts]
    for a, b in zip(stack.float()(*moved), stack(*parts), strict=True):
        assert torch.equal(a, b[order])


def test_keys_that_are_not_there_have_no_influence():
    stack, x, source = made("sources of other lengths", holes=True, hide=True)
    moved = [replace(f, x=torch.where(f.real.unsqueeze(2), f.x, 7.0)) for f in source]
    for found, wanted in zip(stack(x, moved), stack(x, source), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_query_without_keys_gets_the_bias_alone():
    """The attention's result is zero before its output product, whatever the values are."""
    stack, (x,), (source,) = build(1, layers=1, hide=True), sequences([4]), sequences([3])
    nothing = replace(source, real=torch.zeros(BATCH, 3, dtype=torch.bool))
    (found,) = stack([x], [nothing])
    ((_, second, _, out, inner, outer),), last = single(stack, 0)
    state = embedded(x) + out[1]
    state = state + F.linear(F.linear(norm(state, *second), inner[0].T, inner[1]).relu(), outer[0].T, outer[1])
    torch.testing.assert_close(found, norm(state, *last), **CLOSE)


def test_positions_by_hand():
    table = positions.table(2, 5, torch.device("cpu"), torch.float64)
    slow = 1e-4
    wanted = [[0] * 5, *([math.sin(t), math.sin(t * slow), math.cos(t), math.cos(t * slow), 0] for t in (1, 2))]
    torch.testing.assert_close(table, torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-6)
    assert positions.indices(torch.tensor([[True, False, True]])).tolist() == [[1, 0, 3]]


def test_the_causal_mask_by_hand():
    allowed = positions.causal(2, 4, torch.device("cpu"), torch.float32) == 0
    assert allowed.tolist() == [[True, True, True, False], [True] * 4]
    allowed = positions.causal(4, 2, torch.device("cpu"), torch.float32) == 0
    assert allowed.all()


def parameters_and_sequences(stack, x, source):
    """What `gradcheck` varies, and the outputs as a function of it; the same random numbers each time."""
    names, values = zip(*stack.named_parameters(), strict=True)
    frames = [*x, *source]

    def outputs(*leaves):
        torch.manual_seed(5)
        moved = [replace(f, x=t) for f, t in zip(frames, leaves[len(names) :], strict=True)]
        state = dict(zip(names, leaves, strict=False))
        return tuple(torch.func.functional_call(stack, state, (moved[: len(x)], moved[len(x) :])))

    return outputs, (*values, *(f.x for f in frames))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_finite_differences(training):
    rates = Rates([0.4, 0.2], embedding=0.2, inner=0.3, residual=0.2)
    stack = build(2, layers=1, dim=4, rates=rates, hide=True).train(training)
    *x, source = sequences([3, 2, 3], dim=4, holes=True)
    outputs, leaves = parameters_and_sequences(stack, x, [source])
    assert gradcheck(outputs, leaves, fast_mode=True)


def test_some_transformers_give_their_last_frame_alone():
    stack, x, source = made("both in one group", holes=True, hide=True)
    some, whole, last = (stack(x, source, last=each) for each in ([2], [], [0, 1, 2]))
    for found, wanted in zip(some, [*whole[:2], last[2]], strict=True):
        torch.testing.assert_close(found, wanted, **CLOSE)


RATES = {
    "attention": Rates([0.5] * 3),
    "embedding": Rates([0.0] * 3, embedding=0.5),
    "inner": Rates([0.0] * 3, inner=0.5),
    "residual": Rates([0.0] * 3, residual=0.5),
}


@pytest.mark.parametrize("last", [True, False])
def test_training_without_dropout_is_evaluation(last):
    stack, x, source = made("both in one group", holes=True, hide=True)
    wanted = stack(x, source, last=every(x, last))
    for found, each in zip(stack.train()(x, source, last=every(x, last)), wanted, strict=True):
        assert torch.equal(found, each)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("last", [True, False])
def test_each_rate_counts_in_training_and_not_in_evaluation(name, last):
    stack, x, source = made("both in one group", rates=RATES[name])
    plain, _, _ = made("both in one group")
    wanted = plain(x, source, last=every(x, last))
    for found, each in zip(stack(x, source, last=every(x, last)), wanted, strict=True):
        assert torch.equal(found, each)
    for found, each in zip(stack.train()(x, source, last=every(x, last)), wanted, strict=True):
        assert (found != each).any(dim=-1).all()  # every frame of every sample


def test_each_transformer_has_an_attention_rate_of_its_own():
    stack, x, source = made("both in several groups", rates=Rates([0.0, 0.6, 0.0, 0.0, 0.6, 0.0]))
    wanted = stack(x, source)
    same = [torch.equal(a, b) for a, b in zip(stack.train()(x, source), wanted, strict=True)]
    assert same == [True, False, True, True, False, True]


@pytest.mark.parametrize("name", ["attention", "inner", "residual"])
@pytest.mark.parametrize("last", [True, False])
def test_dropout_is_unbiased(name, last):
    """With both parts small against what they are added to, the result is linear in what is dropped."""
    torch.manual_seed(0)
    draws = 4000
    stack = Stack(2, DIM, HEADS, 1, replace(RATES[name], attention=RATES[name].attention[:2])).double()
    with torch.no_grad():
        stack.weights.out.mul_(1e-4)
        stack.weights.outer.mul_(1e-4)
    x, own, source = (Frames(f.x.detach()[:1].expand(draws, -1, -1)) for f in sequences([3, 3, 3]))
    with torch.no_grad():
        last = every([x, own], last)
        found = stack.train()([x, own], [source], last=last)
        wanted = stack.eval()([x, own], [source], last=last)
    for a, b in zip(found, wanted, strict=True):
        error, spread = (a - b).mean(dim=0), (a - b).std(dim=0)
        assert spread.max() > 1e-5
        assert (error.abs() < 5 * spread / math.sqrt(draws) + 1e-7).all()


def test_the_same_seed_gives_the_same_result_in_training():
    stack, x, source = made("both in several groups", rates=Rates([0.3] * 6, 0.2, 0.2, 0.2))
    stack.train()
    torch.manual_seed(1)
    first = stack(x, source)
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(stack(x, source), first, strict=True))


def test_it_trains_after_it_ran_in_inference_mode():
    """Tables of positions are kept between calls."""
    stack, x, source = made("both in one group")
    positions.table.cache_clear()
    positions.causal.cache_clear()
    with torch.inference_mode():
        stack(x, source)
    check(stack, x, source)


def test_a_single_frame():
    check(*made("alone of several lengths"), last=True)
