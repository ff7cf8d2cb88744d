from dataclasses import replace

import pytest
import torch
from mmsa_dmd.fusion import DecoupledFusion
from mmsa_dmd.outputs import Decoupled

from mmsa_core import testing
from mmsa_core.components import Context
from mmsa_core.errors import UserError
from mmsa_core.tasks import Classification, Regression
from mmsa_core.types import Encoded

pytestmark = pytest.mark.usefixtures("few")

LENGTHS = {"text": 4, "audio": 6, "vision": 4}
DIM = 4


def build(lengths=LENGTHS, task=None, **fields):
    context = Context(dict.fromkeys(lengths, 1), lengths, DIM, task or Regression())
    torch.manual_seed(0)
    return DecoupledFusion(DecoupledFusion.Config(**({"heads": 2, "layers": 1} | fields)), context).eval()


def parts(lengths=LENGTHS, observed=None):
    """Two samples; what is not observed is zero."""
    found = {}
    for n, (m, time) in enumerate(lengths.items()):
        x = torch.randn(2, time, DIM, generator=torch.Generator().manual_seed(n))
        seen = torch.ones(2, time, dtype=torch.bool) if observed is None else observed[m]
        x = x.masked_fill(~seen.unsqueeze(2), 0.0)
        found[m] = Encoded(x, seen, x.mean(dim=1))
    return found


def longer(of, frames):
    """With missing frames behind it."""
    pad = torch.nn.functional.pad
    return replace(of, sequence=pad(of.sequence, (0, 0, 0, frames)), observed=pad(of.observed, (0, frames)))


def tensors(outputs):
    """All that is predicted, by name."""
    nodes = {"homogeneous": outputs.homogeneous, "heterogeneous": outputs.heterogeneous}
    found = {"logits": outputs.logits, "joint": outputs.joint, "shared": outputs.shared_logits}
    for name, graph in nodes.items():
        found |= {f"{name} {m}": node.logits for m, node in graph.items()}
        found |= {f"{name} {m} r": node.representation for m, node in graph.items()}
    for name in ("similarity", "memory"):
        found |= {f"{name} {m}": x for m, x in getattr(outputs, name).items()}
    return found


def same(found, wanted):
    torch.testing.assert_close(tensors(found), tensors(wanted))


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("reading", ["flatten", "pooled"])
def test_shapes(count, reading):
    lengths = dict(zip(testing.MODALITIES, (4, 6, 4, 5), strict=True))
    lengths = {m: lengths[m] for m in testing.MODALITIES[:count]}
    out = build(lengths, task=Classification(classes=3), reading=reading)(parts(lengths))
    high = (count - 1) * DIM
    assert isinstance(out, Decoupled)
    assert out.joint.shape == (2, count * high + count * DIM) == (2, count**2 * DIM)
    assert out.logits.shape == out.shared_logits.shape == (2, 3)
    for m, time in lengths.items():
        for part in (out.private, out.shared, out.reconstruction, out.private_again):
            assert part[m].shape == (2, time, DIM)
        assert out.homogeneous[m].logits.shape == out.heterogeneous[m].logits.shape == (2, 3)
        assert out.homogeneous[m].representation.shape == out.similarity[m].shape == (2, DIM)
        assert out.heterogeneous[m].representation.shape == out.memory[m].shape == (2, high)


@pytest.mark.parametrize("variant", ["published", "described"])
def test_gates_by_hand(variant):
    fusion = build(variant=variant)
    encoded = parts()
    out = fusion(encoded)
    *blocks, shared = out.joint.split([2 * DIM] * 3 + [3 * DIM], dim=1)
    for n, (h, block) in enumerate(zip(out.memory.values(), blocks, strict=True)):
        gate = torch.sigmoid(h @ fusion.gates.weight[n] + fusion.gates.bias[n])
        torch.testing.assert_close(block, gate * h if variant == "described" else gate)
    if variant == "published":
        assert ((shared > 0) & (shared < 1)).all()


def test_described_gates_multiply_what_published_ones_stand_beside():
    published, described = build(), build(variant="described")
    described.load_state_dict(published.state_dict(), strict=False)
    gates, out = published(parts()), described(parts())
    c = (out.joint / gates.joint)[:, -3 * DIM :]
    torch.testing.assert_close(torch.sigmoid(published.shared_gate(c.unsqueeze(0)))[0], gates.joint[:, -3 * DIM :])
    torch.testing.assert_close(published.shared_head(c.unsqueeze(0))[0][0], gates.shared_logits)


def test_parts_by_hand():
    fusion, encoded = build(), parts()
    out, own = fusion(encoded), fusion.decoupling
    for n, (m, of) in enumerate(encoded.items()):
        s, c = of.sequence @ own.private.weight[n], of.sequence @ own.shared.weight.T
        again = torch.cat([s, c], dim=2) @ own.decoder.weight[n]
        found = out.private[m], out.shared[m], out.reconstruction[m], out.private_again[m]
        torch.testing.assert_close(found, (s, c, again, again @ own.private.weight[n]))


@pytest.mark.parametrize(
    ("reading", "places"),
    [
        ("flatten", {"text": (0, 0), "vision": (0, 1), "audio": (1, 0)}),
        ("pooled", {"text": (0, 0), "audio": (0, 1), "vision": (0, 2)}),
    ],
)
def test_homogeneous_nodes_by_hand(reading, places):
    """Heads of equal width are one group: with flatten, those of equal length."""
    fusion = build(reading=reading)
    out = fusion(parts())
    for m, (group, n) in places.items():
        x = out.shared[m].flatten(1) if reading == "flatten" else out.shared[m].mean(dim=1)
        check_head(out.homogeneous[m], x, fusion.homogeneous[group], n)
        torch.testing.assert_close(out.similarity[m], linear(fusion.similarity[group], n, x))
    assert list(out.homogeneous) == list(out.similarity) == list(LENGTHS)


def linear(layer, n, x):
    return x @ layer.weight[n] + layer.bias[n]


def check_head(node, x, heads, n):
    r = linear(heads.inner, n, x).clamp(min=0)
    torch.testing.assert_close(node.representation, r)
    torch.testing.assert_close(node.logits, linear(heads.predict, n, x + linear(heads.outer, n, r)))


def test_heterogeneous_nodes_by_hand():
    fusion = build()
    out, heads = fusion(parts()), fusion.heterogeneous
    for n, (m, h) in enumerate(out.memory.items()):
        state = h + linear(heads.outer, n, linear(heads.inner, n, h).clamp(min=0))
        torch.testing.assert_close(out.heterogeneous[m].representation, state)
        torch.testing.assert_close(out.heterogeneous[m].logits, linear(heads.predict, n, state))


def test_pooled_reads_the_mean_of_the_frames_that_are_there():
    seen = {m: torch.arange(time) < torch.tensor([[3], [1]]) for m, time in LENGTHS.items()}
    fusion, encoded = build(reading="pooled"), parts(observed=seen)
    out = fusion(encoded)
    mean = torch.stack([out.shared["audio"][0, :3].mean(dim=0), out.shared["audio"][1, 0]])
    check_head(out.homogeneous["audio"], mean, fusion.homogeneous[0], 1)


def test_a_sequence_longer_than_the_head_is_refused():
    encoded = parts() | {"audio": longer(parts()["audio"], 2)}
    with pytest.raises(UserError, match=r"built for 6 steps of 'audio' and got 8: .* model\.fusion\.reading: pooled"):
        build()(encoded)


def test_a_shorter_sequence_is_one_with_missing_frames_behind_it():
    encoded = parts() | {"audio": parts(LENGTHS | {"audio": 3})["audio"]}
    filled = encoded | {"audio": longer(encoded["audio"], 3)}
    fusion = build()
    same(fusion(encoded), fusion(filled))
    assert fusion(encoded).encoded["audio"].sequence.shape == (2, 6, DIM)


def test_pooled_takes_any_length():
    lengths = {"text": 9, "audio": 1, "vision": 5}
    assert build(reading="pooled")(parts(lengths)).logits.shape == (2, 1)


def test_a_missing_modality_is_zero_in_the_joint_representation_of_the_robust_recipe():
    """Described, pooled, hide: gates multiply, so that zero stays zero."""
    seen = {m: torch.ones(2, time, dtype=torch.bool) for m, time in LENGTHS.items()}
    seen["audio"][1] = False
    out = build(variant="described", reading="pooled", hide=True)(parts(observed=seen))
    blocks = out.joint.split([2 * DIM] * 3 + [DIM] * 3, dim=1)
    zero = [[not block[i].any() for block in blocks] for i in (0, 1)]
    assert zero == [[False] * 6, [False, True, False, False, True, False]]
    assert not out.memory["audio"][1].any()
    assert out.present.tolist() == [[True, True, True], [True, False, True]]


def test_a_sample_without_any_modality_is_finite():
    seen = {m: torch.tensor([[True] * time, [False] * time]) for m, time in LENGTHS.items()}
    for fields in ({}, {"hide": True, "reading": "pooled", "variant": "described"}):
        found = tensors(build(**fields)(parts(observed=seen)))
        assert all(x.isfinite().all() for x in found.values())


@pytest.mark.parametrize("hide", [True, False])
def test_a_missing_modality_reaches_the_others_without_hide_alone(hide):
    seen = {m: torch.ones(2, time, dtype=torch.bool) for m, time in LENGTHS.items()}
    seen["audio"][:] = False
    encoded = parts(observed=seen)
    moved = replace(encoded["audio"], sequence=torch.randn(2, 6, DIM, generator=torch.Generator().manual_seed(7)))
    fusion = build(hide=hide)
    found, wanted = (fusion(x).memory["text"] for x in (encoded | {"audio": moved}, encoded))
    assert torch.equal(found, wanted) == hide


def test_what_no_loss_reads_is_there_for_the_published_network_alone():
    published, described = build(), build(variant="described")
    assert set(published.private_similarity(published(parts()))) == set(LENGTHS)
    assert not described.private_similarities


@pytest.mark.parametrize("reading", ["flatten", "pooled"])
def test_training_without_dropout_is_evaluation(reading):
    fusion = build(reading=reading)
    same(fusion.train()(parts()), fusion.eval()(parts()))


def test_every_parameter_learns_but_those_that_no_loss_reads():
    fusion = build(output_dropout=0.1).train()
    out = fusion(parts())
    total = sum((x * torch.randn_like(x)).sum() for x in tensors(out).values())
    total += sum((x**2).sum() for part in (out.reconstruction, out.private_again) for x in part.values())
    own = dict(fusion.named_parameters())
    found = torch.autograd.grad(total, list(own.values()), allow_unused=True)
    without = {name for name, g in zip(own, found, strict=True) if g is None or not g.any()}
    assert {name.split(".")[0] for name in without} == {"private_similarities"}


CONFORMING = [
    # pooled, and frames that are missing not attended to: any padding
    {"reading": "pooled", "hide": True, "variant": "described"},
    {"reading": "pooled", "hide": True, "variant": "published"},
    # filled to the length of the head anyway
    {"reading": "flatten", "hide": True, "variant": "described"},
    {"reading": "flatten", "hide": False, "variant": "published"},
]


@pytest.mark.parametrize("fields", CONFORMING, ids=lambda fields: "-".join(map(str, fields.values())))
def test_padding_does_not_matter(fields):
    config = DecoupledFusion.Config(heads=10, layers=1, **fields)
    testing.check_fusion(DecoupledFusion, config, dim=20, counts=(3,), tasks=testing.TASKS[:1], padding=True)


@pytest.mark.parametrize("variant", ["published", "described"])
def test_it_conforms_but_for_padding(variant):
    config = DecoupledFusion.Config(heads=10, layers=1, variant=variant, reading="pooled")
    testing.check_fusion(DecoupledFusion, config, dim=20, counts=(4,), tasks=testing.TASKS[:1])


@pytest.mark.parametrize("fields", [{"heads": 3}, {"attention_dropout": {"touch": 0.1}}])
def test_refusals_name_the_fusion(fields):
    with pytest.raises(UserError, match=r"^fusion 'dmd\.decoupled': "):
        build(**fields)


def test_one_modality_has_no_pairs():
    with pytest.raises(UserError, match=r"^fusion 'dmd\.decoupled' joins pairs of modalities"):
        build({"text": 4})
