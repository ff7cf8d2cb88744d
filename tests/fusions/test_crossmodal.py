from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from mmsa_core import testing
from mmsa_core.components import Context
from mmsa_core.errors import UserError
from mmsa_core.fusions.crossmodal import MultimodalTransformer
from mmsa_core.tasks import BinaryLabels, Bins, Classification, Regression


def build(*modalities, dim=6, task=None, **fields):
    context = Context(dict.fromkeys(modalities, 1), dict.fromkeys(modalities, 1), dim, task or Regression())
    torch.manual_seed(0)
    config = MultimodalTransformer.Config(**({"heads": 2, "layers": 1} | fields))
    return MultimodalTransformer(config, context).eval()


def parts(count=3, dim=6):
    """Encoded modalities of lengths 7, 8, ...; from the second sample on each lacks one."""
    full = testing.batch(count)
    return testing.encoded(full, testing.context(full, dim=dim))


@pytest.mark.parametrize("count", [2, 4])
def test_the_joint_representation_has_each_modality_as_every_other_one_reinforces_it(count):
    encoded = parts(count)
    out = build(*encoded)(encoded)
    assert out.joint.shape == (6, count * (count - 1) * 6)
    assert out.logits.shape == (6, 1)


def test_the_head_by_hand():
    encoded = parts()
    fusion = build(*encoded)
    out = fusion(encoded)
    h = out.joint
    state = h + fusion.outer(fusion.inner(h).clamp(min=0))
    torch.testing.assert_close(out.logits, state @ fusion.head.weight.T + fusion.head.bias)


@pytest.mark.parametrize(
    ("task", "width"),
    [(Bins(classes=7), 7), (Classification(classes=4), 4), (BinaryLabels(names=("happy", "sad", "angry")), 6)],
)
def test_classes(task, width):
    encoded = parts()
    assert build(*encoded, task=task)(encoded).logits.shape == (6, width)


def test_one_modality_has_no_pairs():
    with pytest.raises(UserError, match=r"fusion 'crossmodal' joins pairs .* names only text; name at least two"):
        build("text")


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(UserError, match=r"5 heads do not divide the model's width 12\. .* fit: 1, 2, 3, 4, 6, 12; or"):
        build("text", "audio", dim=12, heads=5)


def test_dropout_of_a_modality_that_is_not_there():
    with pytest.raises(UserError, match=r"names 'vision', which is not among the modalities text, audio$"):
        build("text", "audio", attention_dropout={"audio": 0.1, "vision": 0.2})


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValidationError, match="attention_dropout"):
        MultimodalTransformer.Config(attention_dropout={"text": rate})


@pytest.mark.parametrize("hide", [True, False])
def test_a_missing_modality_is_zero_in_the_joint_representation_with_hide(hide):
    encoded = parts()
    joint = build(*encoded, hide=hide)(encoded).joint
    for block, of in zip(joint.split(12, dim=1), encoded.values(), strict=True):
        assert (block != 0).any(dim=1)[of.present].all()
        assert (block == 0).all(dim=1)[~of.present].all() == hide


@pytest.mark.parametrize("hide", [True, False])
def test_what_stands_at_missing_frames_does_not_matter_with_hide(hide):
    encoded = parts()
    fusion, of = build(*encoded, hide=hide), encoded["audio"]
    noise = torch.randn(of.sequence.shape, generator=torch.Generator().manual_seed(1))
    moved = replace(of, sequence=torch.where(of.observed.unsqueeze(2), of.sequence, noise))
    others = slice(12), slice(24, 36)
    found, wanted = fusion(encoded | {"audio": moved}).joint, fusion(encoded).joint
    assert [torch.equal(found[:, s], wanted[:, s]) for s in others] == [hide, hide]


def test_not_causal_with_hide_conforms():
    config = MultimodalTransformer.Config(hide=True, causal=False, heads=10, layers=1)
    testing.check_fusion(MultimodalTransformer, config, dim=20, counts=(3,), tasks=testing.TASKS[:1])


def test_attention_dropout_counts_where_its_modality_is_attended_to():
    """Without memory dropout only what read audio changes: text and vision, but not audio itself."""
    encoded = {m: replace(of, observed=of.observed | True) for m, of in parts().items()}
    fusion = build(*encoded, attention_dropout={"audio": 0.6}, memory_dropout=0.0)
    wanted, found = fusion(encoded).joint, fusion.train()(encoded).joint
    same = [torch.equal(a, b) for a, b in zip(found.split(12, dim=1), wanted.split(12, dim=1), strict=True)]
    assert same == [False, True, False]


def test_the_memory_drops_as_the_first_modality_by_default():
    """No Transformer that reads text is behind text's own part, but its memory."""
    encoded = parts(2)
    for memory, same in ((None, False), (0.0, True)):
        fusion = build(*encoded, attention_dropout={"text": 0.6}, memory_dropout=memory)
        wanted, found = fusion(encoded).joint[:, :6], fusion.train()(encoded).joint[:, :6]
        assert torch.equal(found, wanted) == same


def test_output_dropout_leaves_the_joint_representation_as_it_is():
    encoded = parts(2)
    fusion = build(*encoded, output_dropout=0.5)
    wanted, found = fusion(encoded), fusion.train()(encoded)
    assert torch.equal(found.joint, wanted.joint)
    assert not torch.equal(found.logits, wanted.logits)


def test_the_memory_has_three_layers_at_least():
    for layers, memory in ((1, 3), (3, 3), (4, 4)):
        fusion = build("text", "audio", layers=layers)
        assert (fusion.crossmodal.readers.layers, fusion.crossmodal.memory.layers) == (layers, memory)


def test_padding_one_modality_alone_does_not_matter_with_hide():
    full = testing.batch(3)
    made = testing.context(full, dim=20)
    torch.manual_seed(0)
    fusion = MultimodalTransformer(MultimodalTransformer.Config(heads=5, layers=1, hide=True), made).eval()
    encoded = testing.encoded(full, made)
    audio = encoded["audio"]
    more = {"sequence": F.pad(audio.sequence, (0, 0, 0, 3)), "observed": F.pad(audio.observed, (0, 3))}
    longer = encoded | {"audio": replace(audio, **more)}
    torch.testing.assert_close(fusion(longer).joint, fusion(encoded).joint, rtol=0, atol=1e-6)
