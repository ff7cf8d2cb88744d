"""Published masks against those that the published codes made."""

import re

import numpy as np
import pytest
import torch

from mmsa_core.encoders import tokens
from mmsa_core.masks.published_masks import emt_dlfr, gcnet, imder, lnln, tfr_net

pytestmark = pytest.mark.golden("missing_protocols")
ORDER = ("text", "audio", "vision")


@pytest.fixture
def arrays(golden_set):
    return {name: tensor.numpy() for name, tensor in golden_set.tensors.items()}


@pytest.fixture
def valid(arrays):
    """Which positions are frames."""
    frames = {m: np.arange(arrays[f"in.{m}"].shape[1]) for m in ORDER[1:]}
    lengths = {m: arrays[f"in.{m}_lengths"][:, None] for m in ORDER[1:]}
    return [arrays["in.text_mask"] == 1, *(frames[m] < lengths[m] for m in ORDER[1:])]


def shown(arrays, kept, valid):
    """What the codes make of their inputs: hidden ids are 100, hidden frames zero."""
    ids = kept[0] * arrays["in.text_ids"] + 100 * (valid[0].astype(int) - kept[0])
    return [ids, *(kept[i][:, :, None] * arrays[f"in.{m}"] for i, m in enumerate(ORDER) if i)]


def same(arrays, name, kept, valid):
    for m, found, out in zip(ORDER, kept, shown(arrays, kept, valid), strict=True):
        assert np.array_equal(found, arrays[f"{name}.{m}.kept"]), f"{name}.{m}.kept"
        assert np.array_equal(out, arrays[f"{name}.{m}.out"]), f"{name}.{m}.out"


@pytest.mark.parametrize(("name", "code"), [("mmsa", tfr_net), ("emt_dlfr", emt_dlfr)])
def test_frames(arrays, valid, name, code):
    rates = sorted(
        {
            key.split(".audio")[0].removeprefix(f"{name}.rate")
            for key in arrays
            if key.startswith(f"{name}.rate") and ".audio" in key
        }
    )
    assert rates == ["0", "0.3", "0.7", "1"]
    for rate in rates:
        same(arrays, f"{name}.rate{rate}", code.masks(valid, float(rate)), valid)


def test_bert_reads_the_tokens_of_the_published_code(arrays, valid):
    ids = torch.from_numpy(arrays["in.text_ids"]).long()
    for name, code, rate in (("mmsa", tfr_net, 0.3), ("mmsa", tfr_net, 1.0), ("emt_dlfr", emt_dlfr, 0.7)):
        kept = torch.from_numpy(code.masks(valid, rate)[0] & valid[0])
        read, _ = tokens.sentence(ids, kept, tokens.Special())
        assert torch.equal(read[:, :-1], torch.from_numpy(arrays[f"{name}.rate{rate:g}.text.out"]).long())


def test_equal_lengths_lose_equal_frames(golden_set, arrays):
    assert golden_set.json["facts"]["mmsa_aligned_audio_and_vision_masks_identical"]
    wanted = arrays["mmsa.aligned.kept"]
    nine = np.arange(wanted.shape[1]) < 9 + np.zeros((len(wanted), 1))
    _, audio, vision = tfr_net.masks([nine] * 3, 0.4)
    assert np.array_equal(audio, wanted)
    assert np.array_equal(vision, wanted)
    _, audio, vision = emt_dlfr.masks([nine] * 3, 0.4)
    assert not np.array_equal(audio, vision)


def test_rates_of_samples(arrays, valid):
    same(arrays, "lnln.per_sample", lnln.masks_per_sample(valid, arrays["lnln.per_sample_rate"], 1111), valid)
    same(arrays, "lnln.rate0.5", lnln.masks(valid, 0.5), valid)


def test_cells(golden_set, arrays):
    cases = golden_set.json["facts"]["gcnet"]
    assert len(cases) == 16
    for case, facts in cases.items():
        rate, rows = re.fullmatch(r"rate(.+)\.n(\d+)", case).groups()
        seed = 17 + int(10 * float(rate))
        kept = gcnet.cells(int(rows), float(rate), np.random.RandomState(seed))
        assert np.array_equal(kept, arrays[f"gcnet.{case}.kept"]), case
        assert kept.sum(axis=1).min() == facts["min_kept"]
        assert 1 - kept.mean() == pytest.approx(facts["missing_fraction"])
        text, audio, vision = gcnet.masks([np.ones((int(rows), 2), dtype=bool)] * 3, float(rate), seed)
        assert np.array_equal(np.stack([audio[:, 0], text[:, 1], vision[:, 0]], axis=1), kept)


def test_schedule(golden_set, arrays):
    cases = golden_set.json["facts"]["imder"]
    assert len(cases) == 48
    for case, facts in cases.items():
        batches, rate = re.fullmatch(r"batches(\d+)\.mr(.+)", case).groups()
        kept = imder.schedule(int(batches), float(rate))
        assert np.array_equal(kept, arrays[f"imder.{case}.available"]), case
        assert [int((kept == n).sum()) for n in (1, 2, 3)] == [facts[f"available_{n}"] for n in (1, 2, 3)]
        assert 1 - kept.mean() / 3 == pytest.approx(facts["realised_missing"])


def test_everything_in_the_set_was_met(arrays):
    kinds = {key.split(".")[0] for key in arrays}
    assert kinds == {"in", "mmsa", "emt_dlfr", "lnln", "gcnet", "imder"}
