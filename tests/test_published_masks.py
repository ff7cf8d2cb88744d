"""What the published codes' masks are, by hand; `tests/golden` holds them to the codes' own numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.commands import masks as cli_masks
from mmsa_core.masks.published_masks import CODES, emt_dlfr, gcnet, imder, lnln, tfr_net

FRAMES = (6, 9, 8)
SAMPLES = 200


def valid(samples=SAMPLES):
    source = np.random.RandomState(0)
    return [np.arange(frames) < source.randint(1, frames + 1, size=(samples, 1)) for frames in FRAMES]


@pytest.mark.parametrize("name", CODES)
def test_every_code(name):
    assert tuple(CODES) == cli_masks.CODES
    code, frames = CODES[name], valid()
    for rate in code.RATES:
        kept = code.masks(frames, rate, 3)
        assert [k.shape for k in kept] == [v.shape for v in frames]
        assert all(k.dtype == bool for k in kept)
        again = code.masks(frames, rate, 3)
        assert all(np.array_equal(*both) for both in zip(kept, again, strict=True))
    one, other = (code.masks(frames, 0.2, seed) for seed in (3, 4))
    assert not all(np.array_equal(*both) for both in zip(one, other, strict=True)), "the seed matters"


def test_the_ends_of_sentences_are_kept():
    sentences = np.array([[True, True, True, False], [True] * 4, [True, False, False, False], [False] * 4])
    kept, _, _ = tfr_net.masks([sentences] * 3, 1.0)
    wanted = [[1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 1]]
    assert kept.astype(int).tolist() == wanted, "of an empty sentence the ends of its row"


def test_seeds():
    frames = [np.ones((40, 8), dtype=bool)] * 3
    _, audio, vision = tfr_net.masks(frames, 0.5)
    assert np.array_equal(audio, vision)
    _, audio, vision = emt_dlfr.masks(frames, 0.5)
    assert not np.array_equal(audio, vision)
    _, audio, vision = lnln.masks(frames, 0.5)
    assert np.array_equal(audio, vision)
    rates = np.array([[0.0], [1.0]] * 20)
    _, audio, _ = lnln.masks_per_sample(frames, rates, 1)
    assert audio[::2].all()
    assert not audio[1::2].any()


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 200), rate=st.sampled_from(gcnet.RATES), seed=st.integers(0, 1000))
def test_cells(rows, rate, seed):
    kept = gcnet.cells(rows, rate, np.random.RandomState(seed))
    assert kept.shape == (rows, 3)
    assert kept.any(axis=1).all(), "one survives"
    if rate == 0:
        assert kept.all()
    elif rate > 2 / 3:
        assert (kept.sum(axis=1) == 1).all()
    elif rows >= gcnet.LEAST:
        assert abs(kept.mean() - (1 - rate)) < gcnet.TOLERANCE


def test_the_schedule_by_hand():
    # 11 batches are 1 ten: at rate 0.4 five keep one modality, two keep two.
    assert imder.schedule(11, 0.4).tolist() == [1] * 5 + [2] * 2 + [3] * 4
    assert imder.schedule(4, 0.7).tolist() == [3] * 4, "published: four batches are no ten"
    assert imder.schedule(10, 0).tolist() == imder.schedule(10, 0.7).tolist() == [1] * 10, "published: 0 is 0.7"


def test_a_batch_loses_the_same():
    frames = valid(samples=11 * imder.BATCH)
    kept = np.stack([k[:, 0] for k in imder.masks(frames, 0.4)], axis=1)
    assert np.array_equal(kept, kept[:: imder.BATCH].repeat(imder.BATCH, axis=0))
    assert np.array_equal(kept[:: imder.BATCH].sum(axis=1), imder.schedule(11, 0.4))
    assert len({tuple(row) for row in kept[: 5 * imder.BATCH]}) > 1, "which one is drawn for each batch"


def test_shares_are_probabilities():
    for rate, shares in imder.SHARES.items():
        assert sum(shares) == pytest.approx(1)
        lost = sum(share * (3 - n) for n, share in enumerate(shares, start=1)) / 3
        assert lost == pytest.approx(min(rate, 2 / 3))
