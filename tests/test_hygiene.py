"""The test split cannot be read while a model is trained and picked; it is evaluated once, and that is recorded."""

import json
from dataclasses import replace

import pytest
import torch

from mmsa_core import registry
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Split
from mmsa_core.display import Display
from mmsa_core.run_folder import test_log
from mmsa_core.training import experiment, seed_run

CPU = torch.device("cpu")
TRAINED = ("student.safetensors", "teacher.safetensors", "distillers.safetensors", "metrics.jsonl")
CROSSMODAL = {
    "dim": 8,
    "encoders": {m: {"name": "projection", "kernel": 1} for m in ("text", "audio", "vision")},
    "fusion": {"name": "crossmodal", "heads": 2, "layers": 1},
}


def recipe_of(make, **changes):
    return make.corrkd(train={"epochs": 2, "batch_size": 8, "select": "f1_non0", "patience": 1}, **changes)


def corpus_of(recipe):
    return registry.datasets.get("synthetic")(recipe.data).load()


def other_test(corpus, frames, rows=17):
    """The corpus with a test split of other samples, on another scale, of `frames` frames."""
    draw = torch.Generator().manual_seed(5)
    test = corpus.splits["test"]
    features = {m: 1e4 * torch.randn(rows, frames, x.channels, generator=draw) for m, x in test.features.items()}
    observed = {m: torch.ones(rows, frames, dtype=torch.bool) for m in features}
    targets = {name: torch.full((rows,), -3, dtype=t.dtype) for name, t in test.targets.items()}
    other = Split.padded(tuple(f"other{n}" for n in range(rows)), features, observed, targets)
    return replace(corpus, splits={**corpus.splits, "test": other})


def trained(recipe, corpus, folder):
    one = experiment.train(recipe, folder, CPU, "test", Display(), corpus) / "seed-1"
    return {name: (one / name).read_bytes() for name in TRAINED}


def test_what_is_trained_does_not_depend_on_the_test_split(make, tmp_path):
    recipe = recipe_of(make)
    corpus = corpus_of(recipe)
    longest = max(x.longest for split in corpus.splits.values() for x in split.features.values())
    given = trained(recipe, corpus, tmp_path / "given")
    for frames in (1, longest + 5):
        assert trained(recipe, other_test(corpus, frames), tmp_path / str(frames)) == given


def test_a_network_that_depends_on_padding_knows_the_longest_test_sequence_and_nothing_else(make, tmp_path):
    recipe = recipe_of(make, model=CROSSMODAL)
    corpus = other_test(corpus_of(recipe), 8)
    limits = data.load(recipe, corpus).training.limits
    assert set(limits.values()) == {8}
    again = other_test(corpus, 8, rows=5)
    assert trained(recipe, corpus, tmp_path / "one") == trained(recipe, again, tmp_path / "other")


def test_lengths_by_hand(make):
    recipe = recipe_of(make)
    corpus = corpus_of(recipe)
    found = data.load(recipe, other_test(corpus, 9)).training
    for modality, length in found.lengths.items():
        assert length == max(corpus.splits[name].features[modality].longest for name in ("train", "valid"))
    assert set(found.limits.values()) == {9}


class Poison:
    """A test split that can be counted and not be looked at."""

    def __len__(self):
        return 11

    def __getattr__(self, name):
        raise AssertionError(f"test.{name} was read")


def test_the_test_split_is_first_read_when_the_weights_are_written(make, tmp_path):
    recipe = recipe_of(make)
    given = trained(recipe, corpus_of(recipe), tmp_path / "given")
    setting = seed_run.prepare(recipe, CPU, tmp_path / "poisoned", "test", Display())
    poisoned = replace(setting.data, splits={**setting.data.splits, "test": Poison()})
    with pytest.raises(AssertionError, match=r"test\.\w+ was read"):
        seed_run.run(replace(setting, data=poisoned), 1)
    assert {name: (tmp_path / "poisoned" / "seed-1" / name).read_bytes() for name in TRAINED} == given


def test_training_records_its_one_evaluation_of_the_test_split(make, tmp_path):
    for masker, conditions in (
        ({"name": "modality_dropout", "rate": 0.4}, ["test_masked", "test_complete"]),
        (None, ["test_complete"]),
    ):
        folder = experiment.train(
            recipe_of(make, seeds=[1, 2], masker=masker),
            tmp_path / str(len(conditions)),
            CPU,
            "mmsa train x",
            Display(),
        )
        for seed in (1, 2):
            assert test_log.count(folder / f"seed-{seed}") == 1
            (line,) = (folder / f"seed-{seed}" / test_log.FILE).read_text().splitlines()
            found = json.loads(line)
            assert (found["what"], found["command"], found["conditions"]) == ("train", "mmsa train x", conditions)
