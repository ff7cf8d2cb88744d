"""`mmsa data make synthetic`: what is written, what is missing in it, the damage, and training on it."""

import json
import shlex
from pathlib import Path

import pytest
import torch

from mmsa_core import registry, writers
from mmsa_core.commands import data as cli_data
from mmsa_core.corpora import corruption, data, making
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.testing.splits import padded, splits

RECIPES = Path(__file__).parents[1] / "recipes"


def make_file(mmsa, *options, reader="mmsa-pickle", out="made"):
    done = mmsa("data", "make", "synthetic", out, "--format", reader, *options)
    assert done.exit_code == 0, done.output
    return done


def read(reader="mmsa-pickle", path="made", **options):
    kind = registry.datasets.get(reader)
    return kind(kind.Config(name=reader, path=path, **options)).load()


def test_the_choices_are_the_tables():
    assert sorted(cli_data.FORMATS) == sorted(writers.WRITERS)
    assert set(cli_data.SIZES) == set(making.SIZES)
    assert set(cli_data.CORRUPTIONS) == {*corruption.KINDS, corruption.TRUNCATED}
    assert set(writers.WRITERS) <= set(registry.datasets)


@pytest.mark.parametrize("reader", cli_data.FORMATS)
def test_what_is_made_is_trained_on(mmsa, make, tmp_path, reader):
    done = make_file(mmsa, "--missing", "0.2", reader=reader)
    assert "made: train 48, valid 24, test 24 samples" in done.output
    assert f"--set data.name={reader} --set data.path=made" in done.output
    recipe = make.tiny(data={"name": reader, "path": str(tmp_path / "made")}, train={"epochs": 1, "batch_size": 16})
    stages = make.stages(recipe)
    assert dict(stages.data.channels) == making.SIZES["tiny"].channels
    trainer, _ = stages.student()
    assert trainer.fit(stages.train, stages.valid).epochs == 1


@pytest.mark.needs("mmsa-corrkd")
@pytest.mark.parametrize("reader", cli_data.FORMATS)
@pytest.mark.parametrize("labels", ["unimodal", "emotions"])
def test_the_command_that_is_printed_fits(mmsa, monkeypatch, reader, labels):
    done = mmsa("data", "make", "synthetic", "made", "--format", reader, "--labels", labels)
    if done.exit_code == 2:
        pairs = [("mmsa-pickle", "emotions"), ("mmsa-fet", "emotions"), ("mult-pickle", "unimodal")]
        assert (reader, labels) in pairs
        assert f"--format {reader} has no place for" in done.output
        return
    printed = shlex.split(done.stdout.splitlines()[-1].removeprefix("train: mmsa train recipes/baseline.yaml "))
    loaded = data.load(recipe_file.load(RECIPES / "baseline.yaml", printed[1::2]))
    made = making.corpus("tiny", 0, kind=labels).splits["test"].targets
    wanted = made["labels"] if labels == "emotions" else made["score/text"]
    target = "labels" if labels == "emotions" else "score"
    assert torch.equal(loaded.splits["test"].targets[target], wanted)


def test_nothing_is_overwritten(mmsa, tmp_path):
    make_file(mmsa)
    before = (tmp_path / "made").read_bytes()
    done = mmsa("data", "make", "synthetic", "made", "--format", "folder")
    assert done.exit_code == 2
    assert "error: made: exists, and nothing is overwritten" in done.output
    assert (tmp_path / "made").read_bytes() == before


def test_seeds(mmsa, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_file(mmsa, "--seed", seed, out=name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def missing(corpus, split, modality):
    return int((~padded(corpus.splits[split]).observed[modality].any(dim=1)).sum())


def test_patterns_of_what_is_missing(mmsa):
    make_file(mmsa, "--missing", "train:text", "--missing", "vision=0.5")
    found = read()
    assert [missing(found, name, "text") for name in ("train", "valid", "test")] == [48, 0, 0]
    assert 10 < missing(found, "train", "vision") < 38
    assert 5 < missing(found, "test", "vision") < 19
    assert missing(found, "train", "audio") == 0
    test, plain = (padded(each.splits["test"]) for each in (found, making.corpus("tiny", 0)))
    row = int(test.observed["vision"].any(dim=1).nonzero()[0, 0])  # the others are as they were
    was, now = (each.features["vision"][row][each.observed["vision"][row]] for each in (plain, test))
    assert torch.equal(now, was)


@pytest.mark.parametrize("pattern", ["smell", "train:smell", "later:text", "text=2", "text=", "1.5", "", "text=0.1.2"])
def test_patterns_that_are_none(mmsa, pattern):
    done = mmsa("data", "make", "synthetic", "made", "--format", "folder", "--missing", pattern)
    assert done.exit_code == 2
    assert f"--missing {pattern}: expected a share" in done.output


def test_each_sample_keeps_a_modality(mmsa):
    done = mmsa("data", "make", "synthetic", "made", "--format", "folder", "--missing", "0.9")
    assert done.exit_code == 2
    assert "at most 0.67 of the pairs" in done.output
    make_file(mmsa, "--missing", "0.6")
    split = padded(read().splits["train"])
    assert torch.stack([seen.any(dim=1) for seen in split.observed.values()]).any(dim=0).all()


def damaged(kind, labels="score") -> tuple[Corpus, Corpus]:
    plain = making.corpus("tiny", 0, kind=labels)
    return plain, corruption.apply(plain, kind)


def test_values_that_are_not_finite():
    for kind, test in (("nan", torch.isnan), ("inf", torch.isneginf)):
        _, found = damaged(kind)
        bad = test(padded(found.splits["train"]).features["audio"])
        assert int(bad.sum()) == int(bad[:, 0, 0].sum()) == 3


def test_a_constant_column():
    _, found = damaged("constant")
    for split in splits(found).values():
        assert split.features["audio"][split.observed["audio"]][:, -1].unique().tolist() == [1]


def test_duplicates_and_leaks():
    plain, found = damaged("duplicates")
    train = padded(found.splits["train"])
    assert train.ids[-3:] == tuple(f"copy-of-{name}" for name in train.ids[:3])
    assert torch.equal(train.features["text"][-3:], train.features["text"][:3])
    assert len(set(train.ids)) == len(train) == 51
    plain, found = damaged("leak")
    assert found.splits["train"].ids[-3:] == plain.splits["test"].ids[:3]
    assert found.splits["train"].targets["score"][-3:].tolist() == plain.splits["test"].targets["score"][:3].tolist()


def test_swapped_labels():
    plain, found = damaged("swapped", "unimodal")
    was, now = plain.splits["train"].targets, found.splits["train"].targets
    assert torch.equal(now["label"], 2 - was["label"])
    assert torch.equal(now["score/text"], was["score/audio"])
    assert torch.equal(now["score"], was["score"])
    plain, found = damaged("swapped", "emotions")
    assert torch.equal(found.splits["test"].targets["labels"][:, 0], plain.splits["test"].targets["labels"][:, 1])


@pytest.mark.parametrize("reader", cli_data.FORMATS)
def test_truncated_files_are_refused(mmsa, reader):
    make_file(mmsa, "--corrupt", "truncated", reader=reader)
    with pytest.raises(UserError, match="made"):
        read(reader)


def test_a_leaked_video_is_refused_in_folds(mmsa):
    make_file(mmsa, "--corrupt", "leak", reader="cmu-sdk")
    with pytest.raises(UserError, match="video 'test00000' is in train and in test"):
        read("cmu-sdk")


def test_nan_is_located_by_training(mmsa, make, tmp_path):
    make_file(mmsa, "--corrupt", "nan", "--labels", "unimodal", reader="folder")
    recipe = make.tiny(data={"name": "folder", "path": str(tmp_path / "made")})
    with pytest.raises(UserError, match=r"3 values of 'audio' in 3 rows are NaN or infinite"):
        make.stages(recipe)


def test_what_modalities_show_follows_the_score():
    targets = making.corpus("tiny", 0, kind="unimodal").splits["train"].targets
    for modality in ("text", "audio", "vision"):
        both = torch.stack([targets["score"], targets[f"score/{modality}"]])
        assert 0.6 < torch.corrcoef(both)[0, 1] < 1
        assert targets[f"score/{modality}"].abs().max() <= 3


def test_show_explains_every_reader(mmsa):
    for reader in (*cli_data.FORMATS, "arrays"):
        page = mmsa("show", reader).output
        assert page.startswith(f"dataset {reader} (mmsa-core ")
        assert ("path: path, required" in page) is (reader != "arrays")
    assert json.dumps("cmu-sdk")[1:-1] in mmsa("list", "datasets").output


def test_damage_is_done_to_a_modality_that_training_has(mmsa):
    options = ("--format", "mmsa-pickle", "--missing", "train:audio", "--corrupt", "nan")
    assert mmsa("data", "make", "synthetic", "out", *options).exit_code == 0
    found = json.loads(mmsa("data", "inspect", "out", "--json").stdout)["features"]["train"]
    assert {m: each["nonfinite"]["nan"] for m, each in found.items()} == {"text": 0, "audio": 0, "vision": 3}
