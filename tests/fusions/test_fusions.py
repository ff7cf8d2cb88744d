import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import testing
from mmsa_core.components import Context
from mmsa_core.errors import UserError
from mmsa_core.fusions.concat import Concat
from mmsa_core.fusions.gated import Gated
from mmsa_core.fusions.low_rank import LowRank, low_rank
from mmsa_core.fusions.tensor import TensorFusion, outer
from mmsa_core.tasks import Regression
from mmsa_core.types import Encoded


def one(*values):
    """A modality with one frame per sample; None is a sample that lacks it."""
    x = torch.tensor([[v] if v is not None else [0.0] for v in values])
    return Encoded(x.unsqueeze(1), torch.tensor([[v is not None] for v in values]), x)


def build(component, *modalities, dim=1, **fields):
    context = Context(dict.fromkeys(modalities, 1), dict.fromkeys(modalities, 1), dim, Regression())
    torch.manual_seed(0)
    return component(component.Config(**fields), context).eval()


def test_concat_by_hand():
    fusion = build(Concat, "text", "audio")
    with torch.no_grad():
        fusion.head.weight.copy_(torch.tensor([[1.0, 10.0]]))
        fusion.head.bias.fill_(0.5)
    out = fusion({"audio": one(2.0, None), "text": one(1.0, 3.0)})
    assert out.joint.tolist() == [[1.0, 2.0], [3.0, 0.0]]
    assert out.logits.tolist() == [[21.5], [3.5]]


def test_gated_with_two_modalities_is_the_papers_sigmoid_gate():
    fusion = build(Gated, "text", "audio")
    out = fusion({"text": one(1.0, 1.0, None, None), "audio": one(-2.0, None, -2.0, None)})
    h_v, h_t = (w.weight[0, 0] * x for w, x in zip(fusion.transforms, (1.0, -2.0), strict=True))
    w_z = fusion.gates.weight[0] - fusion.gates.weight[1]
    z = (w_z @ torch.tensor([1.0, -2.0])).sigmoid()
    wanted = torch.stack([z * h_v.tanh() + (1 - z) * h_t.tanh(), h_v.tanh(), h_t.tanh(), h_v * 0])
    torch.testing.assert_close(out.joint[:, 0], wanted)


def test_gated_excludes_whatever_an_absent_modality_holds():
    fusion = build(Gated, "text", "audio")
    text = one(1.0)
    absent = Encoded(torch.zeros(1, 1, 1), torch.tensor([[False]]), torch.zeros(1, 1))
    with torch.no_grad():
        fusion.transforms[1].weight.fill_(9.0)
    torch.testing.assert_close(
        fusion({"text": text, "audio": absent}).joint, (fusion.transforms[0].weight * 1.0).tanh()
    )


def test_outer_by_hand():
    z_1, z_2 = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 3.0, 5.0]])
    assert outer([z_1, z_2]).tolist() == [[1.0, 3.0, 5.0, 2.0, 6.0, 10.0]]
    assert outer([z_1]).tolist() == [[1.0, 2.0]]


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 4), rank=st.integers(1, 3), width=st.integers(1, 4))
def test_low_rank_equals_tensor_fusion_with_the_tensor_of_its_factors(count, rank, width):
    source = torch.Generator().manual_seed(count * 100 + rank * 10 + width)
    z = [torch.randn(5, width + 1, generator=source, dtype=torch.float64) for _ in range(count)]
    w = [torch.randn(rank, width + 1, 2, generator=source, dtype=torch.float64) for _ in range(count)]
    letters = "uvwx"[:count]
    full = torch.einsum(",".join(f"r{c}d" for c in letters) + f"->{letters}d", *w)
    torch.testing.assert_close(low_rank(z, w), outer(z) @ full.flatten(0, -2))


def test_low_rank_by_hand():
    z = [torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 3.0]])]
    w = [torch.tensor([[[1.0], [2.0]], [[0.0], [1.0]]]), torch.tensor([[[1.0], [1.0]], [[2.0], [0.0]]])]
    assert low_rank(z, w).tolist() == [[5.0 * 4.0 + 2.0 * 2.0]]


@pytest.mark.parametrize("component", [TensorFusion, LowRank])
def test_an_absent_modality_is_one_and_zeros(component):
    fusion = build(component, "text", "audio", dim=2)
    parts = testing.encoded(testing.batch(["text", "audio"]), Context({}, {}, 2, Regression()))
    with torch.no_grad():
        for project in fusion.factors.project:
            project.bias.fill_(5.0)
    for name, factor in zip(("text", "audio"), fusion.factors(parts), strict=True):
        present = parts[name].present
        assert (factor[:, 0] == 1).all()
        assert not factor[~present, 1:].any()
        assert factor[present, 1:].any()


def test_tensor_fusion_refuses_a_product_that_is_too_large():
    names = ("text", "audio", "vision", "touch")
    with pytest.raises(UserError, match=r"4 modalities of width 32 .* = 1185921 .* at most 16, or use fusion 'low_r"):
        build(TensorFusion, *names, width=32)
    build(TensorFusion, *names, width=16)
    with pytest.raises(UserError, match=r"more than 100000\. Use fusion 'low_rank'"):
        build(TensorFusion, *(f"m{i}" for i in range(20)))
    build(LowRank, *(f"m{i}" for i in range(20)))
