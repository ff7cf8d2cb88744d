"""`mmsa plugin check` tries an installed distribution by what its components say of themselves."""

import sys

import pytest

from mmsa_core import registry, testing

ENTRY_POINTS = """
[mmsa.distillers]
third.right = third_party:Right
third.wrong = third_party:Wrong
third.lost = third_party:Lost
[mmsa.maskers]
third.half = third_party:Half
third.fading = third_party:Fading
[mmsa.datasets]
third.remote = third_party:Remote
"""
MODULE = """
from mmsa_core.components import ComponentConfig, Dataset, Distiller, Masker
from mmsa_core.example import Example, Untried


class Right(Distiller):
    def forward(self, student, teacher, batch):
        return (student.joint - teacher.joint.detach()).square().sum()


class Wrong(Distiller):
    def forward(self, student, teacher, batch):
        return (student.joint - teacher.joint).square().sum()


class Half(Masker):
    class Config(ComponentConfig):
        rate: float

    @classmethod
    def examples(cls, folder):
        return [Example({"rate": 0.5}, modalities=(2, 3))]

    def __call__(self, batch, draw):
        seen = batch.observed.items()
        return batch.hide({m: draw.frames(batch.key, o.shape[1], m) < self.config.rate for m, o in seen})


class Fading(Half):
    @classmethod
    def examples(cls, folder):
        return [Example({"rate": 1 / len(list(folder.iterdir()))})]


class Remote(Dataset):
    @classmethod
    def examples(cls, folder):
        raise Untried("it reads what lies on a server")

    def load(self):
        raise NotImplementedError
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """A function that installs the distribution with some of its entry points."""

    def install(*left_out):
        info = tmp_path / "mmsa_third-0.4.dist-info"
        info.mkdir()
        lines = [line for line in ENTRY_POINTS.splitlines() if line.split(" ")[0] not in left_out]
        (info / "entry_points.txt").write_text("\n".join(lines))
        (tmp_path / "third_party.py").write_text(MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        registry.metadata.cache_clear()

    yield install
    sys.modules.pop("third_party", None)
    for table in registry.ALL:
        for name in [name for name in table._loaded if name.startswith("third.")]:
            del table._loaded[name]
    registry.metadata.cache_clear()


def test_a_table_of_what_holds(mmsa, third_party):
    third_party()
    done = mmsa("plugin", "check", "mmsa-third")
    assert done.exit_code == 1
    rows = {" ".join(line.split()[:2]): line.split()[2:] for line in done.stdout.splitlines() if " third." in line}
    labels = list(testing.LABELS)
    assert rows["distiller third.right"] == labels
    assert rows["distiller third.wrong"] == [label for label in labels if label != "teacher"] + ["teacher"]
    assert rows["masker third.half"] == [
        label for label in labels if label not in ("finite", "teacher", "shares", "weights")
    ]
    assert rows["dataset third.remote"] == ["not", "tried"]
    assert rows["masker third.fading"] == ["build"]
    assert rows["distiller third.lost"] == ["broken"]
    assert "distiller 'third.wrong': teacher: Wrong (1 modalities, task regression): the teacher gets" in done.stdout
    assert "distiller 'third.lost': distiller 'third.lost' of mmsa-third 0.4 cannot be imported" in done.stdout
    assert "dataset 'third.remote': not tried: it reads what lies on a server" in done.stdout
    assert "masker 'third.fading': build: Fading: `examples` fails with ZeroDivisionError" in done.stdout
    assert done.stdout.endswith("2 of 6 components conform; 1 not tried\n")


def test_what_conforms_ends_with_0(mmsa, third_party):
    third_party("third.wrong", "third.lost", "third.remote", "third.fading")
    done = mmsa("plugin", "check", "MMSA_Third")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "2 of 2 components conform")


def test_an_unknown_distribution_suggests(mmsa, third_party):
    third_party()
    done = mmsa("plugin", "check", "mmsa-thirt")
    assert done.exit_code == 2
    assert "no installed distribution 'mmsa-thirt' declares components. Did you mean 'mmsa-third'" in done.stderr
