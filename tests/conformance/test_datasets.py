"""Wrong readers, each with one defect, fail with a message that names it."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmsa_core import testing
from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.datasets.synthetic import Synthetic
from mmsa_core.errors import UserError
from mmsa_core.testing import datasets

SMALL = Synthetic.Config(samples=(6, 3, 3), length=(3, 5))


def reader(change):
    """A reader of a small corpus after something was done to it."""
    return type("Wrong", (Dataset,), {"load": lambda self: change(Synthetic(SMALL).load())})


def sequences(change):
    """The same with the first modality of the training split changed."""

    def changed(corpus):
        train = corpus.splits["train"]
        m = next(iter(train.features))
        new = replace(train, features={**train.features, m: change(train.features[m])})
        return replace(corpus, splits={**corpus.splits, "train": new})

    return reader(changed)


def targets(**changes):
    def changed(corpus):
        train = corpus.splits["train"]
        made = {name: change(train.targets["score"]) for name, change in changes.items()}
        return replace(corpus, splits={**corpus.splits, "train": replace(train, targets={**train.targets, **made})})

    return reader(changed)


def poorer(corpus):
    """The last split lacks a modality."""
    test = corpus.splits["test"]
    return replace(corpus, splits={**corpus.splits, "test": replace(test, features=dict([*test.features.items()][1:]))})


def noisy(x):
    return replace(x, values=x.values + random.random())


def ragged(x):
    """Ends each sequence with a missing frame."""
    seen = torch.ones(len(x.values), dtype=torch.bool)
    seen[x.starts + x.lengths - 1] = False
    return replace(x, seen=seen)


def seeding(corpus):
    torch.manual_seed(3)
    return corpus


def infinite(x):
    return replace(x, values=torch.full_like(x.values, float("inf")), finite=True)


class Lost(Dataset):
    """Reads a file that it expects to be there."""

    class Config(DatasetConfig):
        path: Path

    def load(self):
        self.config.path.read_bytes()
        return Synthetic(SMALL).load()


class Careless(Lost):
    """Does not look at its file."""

    def load(self):
        return Synthetic(SMALL).load()


class Silent(Lost):
    """Does not say which file."""

    def load(self):
        if not self.config.path.exists():
            raise UserError("a file is lost")
        return Synthetic(SMALL).load()


@pytest.mark.parametrize(
    ("component", "label", "message"),
    [
        (reader(lambda corpus: corpus.splits), "finite", "gives dict, expected a Corpus"),
        (reader(lambda corpus: 1 / 0), "finite", "cannot load: ZeroDivisionError"),
        (reader(lambda corpus: Corpus({}, "0")), "finite", "the corpus has no samples"),
        (sequences(lambda x: replace(x, lengths=x.lengths + 1000)), "finite", "sequences end beyond `values`"),
        (
            sequences(lambda x: replace(x, lengths=x.lengths[:2], starts=x.starts[:2])),
            "finite",
            "2 sequences for 6 ids",
        ),
        (sequences(lambda x: Sequences.none(len(x), 3)), "finite", "channels, and 3 in another split"),
        (reader(poorer), "finite", "split 'test' lacks a modality"),
        (targets(score=lambda x: x * float("nan")), "finite", "target 'score': a value is not finite"),
        (sequences(lambda x: replace(x, values=x.values.long())), "dtypes", "`values` are torch.int64"),
        (targets(score=lambda x: x.double()), "dtypes", "target 'score' is torch.float64"),
        (targets(mood=lambda x: x), "dtypes", "target 'mood'; known are score, label, labels"),
        (sequences(ragged), "hidden", "a sequence ends with a missing frame"),
        (sequences(infinite), "hidden", "`finite` is True, and a value is not finite"),
        (sequences(lambda x: replace(x, values=x.values + 1, zero=0)), "hidden", "the frame at `zero` is not zero"),
        (reader(lambda corpus: replace(corpus, digest="")), "claims", "the corpus has no digest"),
        (reader(lambda corpus: replace(corpus, names={"label": ("one",)})), "claims", "has no name, of 1 names"),
        (sequences(noisy), "seed", "global random numbers are drawn or set"),
        (reader(seeding), "seed", "global random numbers are drawn or set"),
    ],
)
def test_what_is_wrong_is_named(component, label, message, finds):
    finds(datasets.outcomes(component, DatasetConfig()), label, f"^Wrong.*{message}")


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Lost, "a lost path ends with FileNotFoundError.*raise UserError with the path"),
        (Careless, "a lost path is not noticed"),
        (Silent, "does not say which"),
    ],
)
def test_a_lost_file_is_the_users_mistake(component, message, finds, tmp_path):
    (tmp_path / "corpus").touch()
    found = datasets.outcomes(component, component.Config(path=tmp_path / "corpus"))
    finds(found, "absent", f"^{component.__name__}: .*{message}")


def test_the_first_defect_is_raised():
    with pytest.raises(AssertionError, match=r"^Wrong: the corpus has no samples"):
        testing.check_dataset(reader(lambda corpus: Corpus({}, "0")))
