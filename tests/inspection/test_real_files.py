"""The files of ../shared/data: facts agree with what is written beside them, and their hazards are warned of."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from mmsa_core.datasets.mmsa_pickle import MmsaPickle
from mmsa_core.inspection.blocks import pooled
from mmsa_core.inspection.facts import facts
from mmsa_core.inspection.traps.fitted import fitted_features

DATA = Path(__file__).parents[2].parent / "shared" / "data"
LETTERS = {"text": "L", "audio": "A", "vision": "V"}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")


@pytest.fixture
def inspected(mmsa):
    def of(name):
        result = mmsa("data", "inspect", DATA / name, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return of


def traps(found, level="warning"):
    return {each["trap"] for each in found["warnings"] if each["level"] == level}


@pytest.mark.parametrize("name", ["mmmo", "youtube"])
def test_missing_json(inspected, name):
    found, truth = inspected(f"{name}_data.pkl"), json.loads((DATA / "missing.json").read_text())[name]
    assert (found["reader"], found["looks"]["details"]["written by"]) == ("mult-pickle", "numpy 2 (numpy._core)")
    for split, expected in truth.items():
        patterns = {
            "".join(letter if m in each["modalities"] else "-" for m, letter in LETTERS.items()): each["rows"]
            for each in found["patterns"][split]
        }
        assert patterns == expected["patterns"]
        assert found["rows"][split] == expected["n"]
        for modality in LETTERS:
            features = found["features"][split][modality]
            absent = expected["all_zero"][modality]
            assert features["rows"] - features["with_it"] == (expected["n"] if absent == "all" else len(absent))
            assert features["frames"] == expected["nonzero_steps"][modality]
            nonfinite = features["nonfinite"]
            assert nonfinite["nan"] + nonfinite["plus_inf"] + nonfinite["minus_inf"] == expected["nonfinite"][modality]
        widths = {m: found["features"][split][m]["width"] for m in LETTERS}
        assert widths == {"text": 300, "audio": 74, "vision": 36}


def test_mmmo(inspected):
    found = inspected("mmmo_data.pkl")
    assert traps(found) == {"absent-in-train"}
    assert traps(found, "note") == {"padding-at-the-front", "numpy-core"}
    scores = found["targets"]["scores"]["train"]
    assert (scores["lowest"], scores["highest"]) == (1.0, 5.0)
    extremes = [found["features"][split]["audio"][end] for split in found["rows"] for end in ("low", "high")]
    assert set(extremes) == {-255.0, 255.0}


def test_youtube(inspected):
    found = inspected("youtube_data.pkl")
    assert traps(found) == {"absent-in-train", "rows-with-nothing"}
    nothing = next(each for each in found["warnings"] if each["trap"] == "rows-with-nothing")
    assert nothing["found"] == "rows without any modality: 125 of 173 in train, 1 of 36 in valid"
    assert {len(counts) for counts in found["targets"]["classes"].values()} == {3}


def test_mosi_dev(inspected):
    found = inspected("mosi_dev.pkl")
    assert traps(found) == {"missing-by-video"}
    assert found["rows"] == {"train": 1095, "valid": 229, "test": 189}
    assert [found["features"][split]["vision"]["with_it"] for split in found["rows"]] == [401, 34, 189]
    assert {m: found["features"]["train"][m]["width"] for m in LETTERS} == {"text": 384, "audio": 73, "vision": 100}
    assert {found["features"]["train"][m]["lengths"]["longest"] for m in ("audio", "vision")} == {1}
    constant = [set(found["features"][split]["vision"]["constant"]) for split in found["rows"]]
    assert len(set.intersection(*constant)) == 32
    assert found["targets"]["names"] == ["Negative", "Neutral", "Positive"]
    assert found["groups"]["test"] == 9
    assert found["leakage"] == {"shared": [], "grouped": True, "renumbered": False}
    assert found["looks"]["details"]["arrays"] == "f2, f4, i4, i8"


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_the_hidden_layer_of_a_network_that_saw_the_labels(by_hand, modality):
    """What was left out of `mosi_dev`, made again: real inputs, a real network, features that give labels away."""
    corpus = MmsaPickle(MmsaPickle.Config(path=DATA / "mosi_dev.pkl")).load()
    inputs = {name: pooled(split, modality) for name, split in corpus.splits.items()}
    centre, spread = inputs["train"].mean(axis=0), inputs["train"].std(axis=0) + 1e-6
    inputs = {name: (x - centre) / spread for name, x in inputs.items()}
    network = MLPRegressor(hidden_layer_sizes=(64,), max_iter=150, random_state=0)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        network.fit(inputs["train"], corpus.splits["train"].targets["score"].numpy())
    splits = {}
    for name, split in corpus.splits.items():
        hidden = torch.from_numpy(np.maximum(inputs[name] @ network.coefs_[0] + network.intercepts_[0], 0)).float()
        seen = torch.ones(len(split), 1, dtype=torch.bool)
        splits[name] = by_hand.changed(split, hidden=(hidden[:, None], seen))
    fitted = replace(corpus, splits=splits)
    found = fitted_features(fitted, facts(fitted))
    assert [each.trap for each in found] == ["fitted-features"]
    assert fitted_features(corpus, facts(corpus)) == []


def test_mosi_lav(inspected):
    found = inspected("mosi_lav.pkl")
    assert traps(found) == set()
    assert found["rows"] == {"train": 348, "valid": 87, "test": 189}
    assert all(len(patterns) == 1 for patterns in found["patterns"].values())


def test_meld(inspected):
    found = inspected("meld_text.pkl")
    assert found["rows"] == {"train": 9989, "valid": 1109, "test": 2610}
    assert found["looks"]["settings"]["tokens"] is True
    assert found["features"]["train"]["text"]["lengths"]["longest"] == 40
    assert found["leakage"]["renumbered"]
    assert traps(found) == set()
