"""Features that were fitted on labels are found; wide, strong or noisy features are not taken for such."""

import numpy as np
import pytest
import torch

from mmsa_core.inspection.facts import facts
from mmsa_core.inspection.probe import Probe, correlation, probe
from mmsa_core.inspection.traps.fitted import suspicious

TRAIN, HELD = (25, 12), (6, 12)
"""Videos, and clips of each."""


def split(by_hand, name, size, width, strength, seed, target="score", ids=True):
    """Noise in which a direction shows the score (or one direction each class) with a strength, by video."""
    videos, clips = size
    draw, rows = np.random.default_rng([seed, len(name)]), videos * clips
    taste = np.repeat(draw.normal(0, 1.0, videos), clips)
    score = np.clip(taste + draw.normal(0, 1.2, rows), -3, 3).round(1)
    label = np.digitize(score, [-0.5, 0.5])
    shown = score[:, None] if target == "score" else np.eye(3)[label] * 3
    directions = np.random.default_rng(5).normal(size=(shown.shape[1], width)) / np.sqrt(width)
    voices = np.repeat(draw.normal(0, 1.0, (videos, width)), clips, axis=0)
    x = strength * np.sqrt(width) * shown @ directions + voices + draw.normal(size=(rows, width))
    names = [f"{name}{row // clips}$_${row}" if ids else f"{name}-{row}" for row in range(rows)]
    targets = {
        "score": torch.tensor(score).float(),
        "label": torch.tensor(label),
        "labels": torch.tensor(label[:, None] > [0, 1]).long(),
    }
    frames = np.stack([x, x + draw.normal(size=x.shape)], axis=1)
    return by_hand.arrays(names, {target: targets[target]}, vision=frames)


def corpus(by_hand, width, train, held, seed=0, **more):
    return by_hand.corpus(
        train=split(by_hand, "train", TRAIN, width, train, seed, **more),
        valid=split(by_hand, "valid", HELD, width, held, seed, **more),
        test=split(by_hand, "testing", HELD, width, held, seed, **more),
    )


@pytest.mark.parametrize("target", ["score", "label", "labels"])
@pytest.mark.parametrize("width", [20, 400])
def test_features_fitted_on_labels_are_found(by_hand, width, target):
    found = by_hand.warned(corpus(by_hand, width, train=1.0, held=0.03, target=target))
    assert list(found) == ["fitted-features"]
    warned = found["fitted-features"]
    assert warned.level == "warning"
    assert "vision alone predicts" in warned.found
    assert "held-out videos of train" in warned.found


def test_found_without_videos_in_the_ids(by_hand):
    found = by_hand.warned(corpus(by_hand, 40, train=1.0, held=0.03, ids=False))
    assert "held-out rows of train" in found["fitted-features"].found
    assert "which its ids do not tell" in found["fitted-features"].means


@pytest.mark.parametrize("seed", range(5))
def test_found_where_two_of_three_training_videos_were_fitted(by_hand, seed):
    fitted, honest = (split(by_hand, "train", TRAIN, 100, strength, seed) for strength in (1.0, 0.0))
    seen = (torch.arange(300) // 12 < 16)[:, None, None]
    (x, observed), (other, _) = (by_hand.padded(each, "vision") for each in (fitted, honest))
    train = by_hand.changed(fitted, vision=(torch.where(seen, x, other), observed))
    test = split(by_hand, "testing", HELD, 100, 0.0, seed)
    assert "fitted-features" in by_hand.warned(by_hand.corpus(train=train, test=test))


def test_one_split_that_the_network_had_seen_hides_nothing(by_hand):
    whole = corpus(by_hand, 40, train=1.0, held=0.03)
    seen = split(by_hand, "valid", HELD, 40, 1.0, seed=3)
    found = by_hand.warned(by_hand.corpus(**{**whole.splits, "valid": seen}))
    assert "but not of test" in found["fitted-features"].found


@pytest.mark.parametrize("strength", [0.0, 0.03, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("width", [10, 100, 1000])
def test_clean_features_of_any_width_and_strength_are_not(by_hand, width, strength):
    for seed in range(3):
        found = facts(corpus(by_hand, width, train=strength, held=strength, seed=seed)).probes["vision"]
        assert suspicious(found) is None, found
        if width == 1000:
            assert found.in_sample > 0.7, "wide features of few samples are fitted whatever they are"


def test_too_little_to_say_anything(by_hand):
    whole = corpus(by_hand, 5, train=1.0, held=0.0)
    few = by_hand.replace(whole, splits={"train": whole.splits["train"].rows(torch.arange(300) < 59)})
    assert probe(few, "vision") is None
    unlabelled = by_hand.replace(whole.splits["train"], targets={})
    assert probe(by_hand.corpus(train=unlabelled), "vision") is None
    assert probe(by_hand.corpus(test=whole.splits["test"]), "vision") is None


def test_token_ids_are_no_amounts(by_hand):
    tokens = np.random.default_rng(0).integers(0, 30000, (80, 4, 3)).astype(np.float32)
    tokens[:, :, 1], tokens[:, :, 2] = 1, 0
    score = by_hand.score(*np.random.default_rng(1).normal(size=80))
    assert probe(by_hand.corpus(train=by_hand.arrays(map(str, range(80)), score, text=tokens)), "text") is None


def test_values_that_are_not_finite_or_absurd_stop_nothing(by_hand):
    whole = corpus(by_hand, 20, train=1.0, held=0.03)
    x, observed = by_hand.padded(whole.splits["train"], "vision")
    x = x.clone()
    x[0, 0, 0], x[1, :, 3], x[2, 1, 4] = np.nan, np.inf, 1e30
    spoiled = by_hand.changed(whole.splits["train"], vision=(x, observed))
    assert "fitted-features" in by_hand.warned(by_hand.corpus(**{**whole.splits, "train": spoiled}))


def test_the_criterion():
    def answer(cross, held, rows=200):
        return suspicious(Probe("score", 1000, True, 1.0, cross, {"valid": (500, cross), "test": (rows, held)}))

    assert answer(0.95, 0.3) == "test"
    assert answer(0.7, 0.2) == "test"
    assert answer(0.79, 0.5) is None, "no great drop for what is not near perfect"
    assert answer(0.59, -0.2) is None, "not good enough"
    assert answer(0.95, 0.8) is None, "no great drop"
    assert answer(0.85, 0.5, rows=20) is None, "too few rows to be sure"
    assert suspicious(Probe("score", 1000, True, 1.0, 0.99, {})) is None


def test_correlation():
    a = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    assert correlation(a, a) == 1.0
    assert correlation(a, -a) == -1.0
    assert correlation(np.zeros((3, 1)), a[:, :1]) == 0.0
    assert correlation(a[:, :1], np.zeros((3, 1))) == 0.0
