"""The made corpus: the same bits from the same seed, and as hard as it says."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.linear_model import RidgeCV

from mmsa_core.datasets.synthetic import Synthetic
from mmsa_core.testing.splits import splits

SMALL = (40, 10, 20)
PINNED_SCORES = [1.4, -0.6, 0.6]
PINNED_AUDIO = [1.861364, -0.711478, 0.304027]


def load(**parameters):
    corpus = Synthetic(Synthetic.Config(**parameters)).load()
    return SimpleNamespace(splits=splits(corpus), notes=corpus.notes, names=corpus.names, digest=corpus.digest)


def same(a, b):
    return all(
        torch.equal(s.features[m], b.splits[n].features[m]) and torch.equal(s.observed[m], b.splits[n].observed[m])
        for n, s in a.splits.items()
        for m in s.features
    ) and all(torch.equal(s.targets["score"], b.splits[n].targets["score"]) for n, s in a.splits.items())


def test_default():
    start = time.perf_counter()
    corpus = load()
    assert time.perf_counter() - start < 10  # some tenths of a second on an idle machine
    assert {n: len(s) for n, s in corpus.splits.items()} == {"train": 600, "valid": 200, "test": 1500}
    train = corpus.splits["train"]
    assert {m: tuple(x.shape[1:]) for m, x in train.features.items()} == {
        "text": (20, 150),
        "audio": (20, 15),
        "vision": (20, 20),
    }
    lengths = train.observed["text"].sum(dim=1)
    assert lengths.min() == 10
    assert lengths.max() == 20
    assert corpus.notes == ()
    assert len({name for s in corpus.splits.values() for name in s.ids}) == 2300


def test_targets():
    corpus = load()
    for split in corpus.splits.values():
        score, label = split.targets["score"], split.targets["label"]
        assert score.dtype == torch.float32
        assert score.abs().max() <= 3
        torch.testing.assert_close((score * 5).round() / 5, score)
        assert torch.equal(score.sign().long() + 1, label)
        assert 0.01 < (score == 0).float().mean() < 0.12
    assert corpus.names == {"label": ("negative", "neutral", "positive")}


def test_same_seed_same_bits_and_global_randomness_plays_no_part():
    torch.manual_seed(1)
    first = load(samples=SMALL)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = load(samples=SMALL)
    assert same(first, second)
    assert first.digest == second.digest
    assert torch.equal(state, torch.get_rng_state())
    other = load(samples=SMALL, seed=1)
    assert not same(first, other)
    assert first.digest != other.digest


def test_the_numbers_are_pinned():
    """Another generator must raise `VERSION`, so that digests change with the numbers."""
    train = load(samples=(3, 1, 1)).splits["train"]
    assert train.targets["score"].tolist() == pytest.approx(PINNED_SCORES, abs=1e-6)
    assert train.features["audio"][0, 0, :3].tolist() == pytest.approx(PINNED_AUDIO, abs=1e-5)


def test_the_digest_is_of_what_matters():
    assert load(samples=SMALL).digest == load(samples=SMALL, normalize="none").digest
    assert load(samples=SMALL).digest != load(samples=SMALL, noise=1.0).digest


def test_order_and_other_modalities_change_nothing():
    base = {"samples": SMALL, "missing": 0.3}
    three = load(**base)
    turned = load(**base, channels={"vision": 20, "audio": 15, "text": 150})
    assert list(turned.splits["train"].features) == ["vision", "audio", "text"]
    assert same(three, turned)
    two = load(samples=SMALL, channels={"text": 150, "audio": 15}, gains={"text": 1.6, "audio": 0.6})
    assert same(two, load(samples=SMALL))


def test_holes_leave_the_rest_as_it_is():
    whole, holes = (load(samples=SMALL, missing=share).splits["train"] for share in (0.0, 0.4))
    for modality, observed in holes.observed.items():
        seen = observed.any(dim=1)
        assert not seen.all()
        time = observed.shape[1]
        assert torch.equal(whole.features[modality][seen, :time], holes.features[modality][seen])


def test_the_size_of_train_does_not_change_test():
    assert torch.equal(
        load(samples=SMALL).splits["test"].features["text"], load(samples=(7, 10, 20)).splits["test"].features["text"]
    )


@given(
    seed=st.integers(0, 2**40),
    missing=st.floats(0, 2 / 3),
    aligned=st.booleans(),
    shortest=st.integers(1, 6),
    more=st.integers(0, 6),
)
@settings(deadline=None, max_examples=25)
def test_hidden_frames_are_zero_and_every_sample_keeps_something(seed, missing, aligned, shortest, more):
    length = (shortest, shortest + more)
    corpus = load(seed=seed, samples=(9, 3, 5), missing=missing, aligned=aligned, length=length)
    for split in corpus.splits.values():
        assert torch.stack([o.any(dim=1) for o in split.observed.values()]).any(dim=0).all()
        for modality, observed in split.observed.items():
            x = split.features[modality]
            assert x.dtype == torch.float32
            assert (x[~observed] == 0).all()
            assert (x[observed] != 0).any(dim=1).all()
            count = observed.sum(dim=1)
            assert torch.equal(observed, torch.arange(x.shape[1]) < count.unsqueeze(1))
            factor = 1 if aligned else {"text": 1, "audio": 3, "vision": 2}[modality]
            assert x.shape[1] <= length[1] * factor
            assert ((count == 0) | (count >= length[0] * factor)).all()


def test_aligned_and_not():
    aligned, free = (load(samples=SMALL, aligned=a).splits["train"].observed for a in (True, False))
    assert torch.equal(aligned["text"], aligned["audio"])
    assert all(o.shape[1] > 0.9 * n for o, n in zip(free.values(), (20, 60, 40), strict=True))
    assert not torch.equal(free["text"].sum(dim=1) * 3, free["audio"].sum(dim=1))


@pytest.mark.parametrize("share", [0.2, 0.5, 2 / 3])
def test_the_share_of_missing_pairs(share):
    corpus = load(samples=(1, 1, 4000), length=(1, 1), missing=share, channels={"text": 1, "audio": 1, "vision": 1})
    lost = torch.stack([~o.any(dim=1) for o in corpus.splits["test"].observed.values()]).float()
    assert lost.mean().item() == pytest.approx(share, abs=0.02)
    assert lost.mean(dim=1).tolist() == pytest.approx([share] * 3, abs=0.04)
    assert any(note.startswith("test: vision is missing in") for note in corpus.notes)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"length": (5, 4)}, "shortest, longest"),
        ({"missing": 0.7}, "at most 0.667"),
        ({"gains": {"text": 1.0}}, "gains name"),
        ({"channels": {}}, "channels"),
        ({"informative": 1.5}, "informative"),
        ({"sample": 3}, "Did you mean 'samples'"),
    ],
)
def test_impossible_parameters(parameters, message):
    with pytest.raises(ValidationError, match=message):
        Synthetic.Config(**parameters)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_text_tells_most_then_vision_then_audio(seed):
    corpus = load(seed=seed)
    train, test = corpus.splits["train"], corpus.splits["test"]

    def means(split, modalities):
        kept = [split.features[m].sum(1) / split.observed[m].sum(1, keepdim=True) for m in modalities]
        return torch.cat(kept, dim=1).numpy()

    def correlation(*modalities):
        model = RidgeCV(np.logspace(-1, 4, 11)).fit(means(train, modalities), train.targets["score"].numpy())
        return np.corrcoef(model.predict(means(test, modalities)), test.targets["score"].numpy())[0, 1]

    text, vision, audio = correlation("text"), correlation("vision"), correlation("audio")
    assert correlation("text", "vision", "audio") > text + 0.05
    assert text > vision + 0.03
    assert vision > audio + 0.03
    assert audio > 0.3
