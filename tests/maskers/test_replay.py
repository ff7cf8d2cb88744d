from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core import missing, testing
from mmsa_core.errors import UserError
from mmsa_core.maskers.frame_dropout import FrameDropout
from mmsa_core.maskers.replay import Replay
from mmsa_core.masks import manifest
from mmsa_core.masks.manifest import Manifest
from mmsa_core.missing import Draw
from mmsa_core.types import Batch

FULL = testing.batch(3, 20)
IDS = tuple(f"sample {i}" for i in range(20))
DRAWN = FrameDropout(FrameDropout.Config(rate=0.4))(FULL, Draw("drawn", 5))


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """A masker for some masks of the samples above."""
    path = tmp_path_factory.mktemp("masks") / "masks.safetensors"

    def made(observed=DRAWN.observed, ids=IDS, key=FULL.key):
        manifest.write(path, Manifest(ids, key, observed))
        return Replay(Replay.Config(path=path))

    return made


def test_by_hand(replay):
    key = missing.keys(["b", "a"])
    masker = replay({"text": torch.tensor([[True, False, True], [False, True, True]])}, ("b", "a"), key)
    observed = torch.tensor([[True, True, False, False], [True, True, True, False]])
    batch = Batch({"text": torch.zeros(2, 4, 1)}, {"text": observed}, torch.zeros(2), torch.arange(2), key.flip(0))
    out = masker(batch, Draw("any", 0)).observed["text"]
    assert out.tolist() == [[False, True, False, False], [True, False, True, False]]


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(range(20)), size=st.integers(1, 20), frames=st.integers(0, 9))
def test_drawn_masks_are_met_again_in_any_order_and_batch(replay, order, size, frames):
    masker, rows = replay(), torch.tensor(order[:size])
    out = masker(testing.padded(testing.rows(FULL, rows), frames), Draw("other", 9, 3))
    wanted = testing.padded(testing.rows(DRAWN, rows), frames)
    assert all(torch.equal(out.observed[m], wanted.observed[m]) for m in FULL.observed)


def test_frames_that_the_data_lack_stay_unobserved(replay):
    everything = {m: torch.ones(20, 30, dtype=torch.bool) for m in FULL.observed}
    out = replay(everything)(FULL, Draw("any", 0))
    assert all(torch.equal(out.observed[m], o) for m, o in FULL.observed.items())


def test_samples_modalities_and_frames_that_the_manifest_lacks(replay):
    draw = Draw("any", 0)
    some = {m: o[:7] for m, o in DRAWN.observed.items()}
    with pytest.raises(
        UserError, match=r"masks.safetensors has no masks of the sample in row 7 of the split; it has 7"
    ):
        replay(some, IDS[:7], FULL.key[:7])(FULL, draw)
    with pytest.raises(UserError, match=r"no masks of 'audio', 'vision', only of text"):
        replay({"text": DRAWN.observed["text"]})(FULL, draw)
    short = {m: o[:, :3] for m, o in DRAWN.observed.items()}
    with pytest.raises(UserError, match=r"has 3 frames of 'text', and the sample in row 0 of the split has more"):
        replay(short)(FULL, draw)
    nothing_there = replace(FULL, observed={m: o & (torch.arange(o.shape[1]) < 3) for m, o in FULL.observed.items()})
    replay(short)(nothing_there, draw)


def test_a_recipe_names_its_manifest(make, tmp_path, monkeypatch):
    """From anywhere, and it is refused before anything is trained where it does not fit."""
    from mmsa_core.training import experiment

    recipe = make.tiny(masker={"name": "replay", "path": "masks.safetensors"})
    monkeypatch.chdir(tmp_path)
    assert experiment.anchored(recipe).masker.path == tmp_path / "masks.safetensors"
    with pytest.raises(UserError, match=r"masks.safetensors: not a readable manifest"):
        make.stages(recipe).rehearse()
    manifest.write(tmp_path / "masks.safetensors", Manifest(IDS, FULL.key, DRAWN.observed))
    with pytest.raises(UserError, match="no masks of the sample in row 0"):
        make.stages(recipe).rehearse()
