"""Whole networks: what is not observed changes nothing, whatever the encoders, the fusion and the samples."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import assemble, registry, testing
from mmsa_core.missing import Draw
from mmsa_core.recipes.sections import ModelSection

ENCODERS = {
    "corrkd.encoder": {"heads": 2, "layers": 1},
    "transformer": {"heads": 2, "layers": 1},
    "bert": {
        "architecture": {"hidden": 8, "layers": 1, "heads": 2, "intermediate": 8, "vocabulary": 30},
        "special": {"pad": 0, "unk": 1, "cls": 2, "sep": 3},
        "then": {"name": "pooled"},
    },
    "projection": {"padding": "same"},
    "dmd.encoder": {"kernel": 3, "padding": "same"},
}
PAIRS = {"heads": 2, "layers": 1, "hide": True}
"""Fusions of pairs of modalities, in the form in which padding does not matter."""
FUSIONS = {"crossmodal": PAIRS, "dmd.decoupled": {**PAIRS, "reading": "pooled"}}
NAMES = st.lists(st.sampled_from(["text", "audio", "vision", "gaze"]), min_size=1, max_size=4, unique=True)


def network(encoder, fusion, of, task):
    section = ModelSection.model_validate(
        {
            "dim": 8,
            "encoders": {m: {"name": encoder, **ENCODERS.get(encoder, {})} for m in of.features},
            "fusion": {"name": fusion, **FUSIONS.get(fusion, {})},
        }
    )
    context = testing.context(of, task)
    return assemble.model(section, task, context.channels, context.lengths, seed=3).eval()


@pytest.mark.parametrize("fusion", sorted(registry.fusions))
@pytest.mark.parametrize("encoder", sorted(registry.encoders))
@settings(max_examples=8, deadline=None)
@given(
    names=NAMES, samples=st.integers(1, 5), seed=st.integers(0, 2**31), frames=st.integers(1, 4), rate=st.floats(0, 1)
)
def test_unobserved_frames_change_nothing(encoder, fusion, names, samples, seed, frames, rate):
    task = testing.TASKS[0]
    names = [*names, "touch"] if fusion in FUSIONS and len(names) == 1 else names
    full = testing.batch(names, samples=samples, task=task, seed=seed)
    full = testing.tokens(full, vocabulary=30) if registry.encoders.get(encoder).raw else full
    dropout = registry.maskers.get("frame_dropout")
    batch = dropout(dropout.Config(rate=rate, keep_one=False))(full, Draw("property", seed % 1000))
    model = network(encoder, fusion, batch, task)
    with torch.no_grad():
        expected = model(batch)
        for other in (
            testing.poisoned(batch, float("nan")),
            testing.poisoned(batch, 1e30),
            testing.padded(batch, frames),
        ):
            found = model(other)
            torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(found.joint, expected.joint, atol=1e-5, rtol=1e-4)
    assert torch.isfinite(expected.logits).all()
