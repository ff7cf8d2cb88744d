"""`mmsa resume`: an experiment goes on by what is in its folder alone."""

import json
import shutil

import pytest
import torch

from mmsa_core.display import Display
from mmsa_core.recipes import recipe_file
from mmsa_core.training import experiment, seed_run
from mmsa_core.training.runner import Trainer

CPU = torch.device("cpu")
SHORT = {"epochs": 2, "batch_size": 8, "lr": 1e-3}
UNCOMPARED = ("provenance.json", "test_evaluations.jsonl")


def recipe_of(make, **changes):
    return make.tiny(**({"seeds": [1, 2, 5], "train": SHORT, "save": {"steps": 1}} | changes))


def train(recipe, out, **options):
    return experiment.train(recipe, out, CPU, "test", Display(), **options)


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in UNCOMPARED)
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    return train(recipe_of(make), tmp_path_factory.mktemp("whole") / "out")


class Killed(BaseException):
    """As SIGKILL: nothing of ours catches it."""


@pytest.fixture
def killed(make, tmp_path, monkeypatch):
    """An experiment of three seeds, killed in the second one."""

    def until(self, *given):
        if self.seed == 2 and self.progress.steps == 4:
            raise Killed
        step(self, *given)

    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", until)
    with pytest.raises(Killed):
        train(recipe_of(make), tmp_path / "out")
    monkeypatch.setattr(Trainer, "step", step)
    return tmp_path / "out"


@pytest.mark.parametrize("jobs", [[], ["--jobs", "2"]])
def test_the_bytes_of_one_that_was_never_killed_and_the_seeds_that_it_never_began(mmsa, whole, killed, jobs):
    assert not (killed / "seed-5").exists()
    done = mmsa("resume", killed, *jobs)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"run folder: {killed}"
    assert content(killed) == content(whole)
    about = json.loads((killed / "seed-2" / "provenance.json").read_text())
    assert len(about["resumed"]) == 1


def test_other_conditions_are_said_and_kept(mmsa, killed):
    path = killed / "seed-2" / "provenance.json"
    first = json.loads(path.read_text())
    path.write_text(json.dumps(first | {"versions": first["versions"] | {"torch": "2.0.0"}}))
    done = mmsa("resume", killed, "--jobs", "1")
    changed = f"versions torch: 2.0.0 then, {first['versions']['torch']} now"
    assert f"going on under other conditions, so numbers may differ: {changed}" in flat(done.output)
    assert changed in json.loads(path.read_text())["resumed"][0]["otherwise"]


def test_what_is_finished_is_left_alone(mmsa, whole, tmp_path, monkeypatch):
    copy = shutil.copytree(whole, tmp_path / "out")
    monkeypatch.setattr(seed_run, "prepare", lambda *_: pytest.fail("the data were read"))
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    done = mmsa("resume", copy)
    assert (done.exit_code, "is finished (seeds 1, 2, 5); nothing is left to do" in flat(done.output)) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_kill_behind_the_last_seed(mmsa, whole, tmp_path):
    copy = shutil.copytree(whole, tmp_path / "out")
    (copy / "results.json").unlink()
    assert mmsa("resume", copy).exit_code == 0
    assert content(copy) == content(whole)


def test_more_seeds_are_seeds_of_the_experiment(make, tmp_path):
    short = {"train": {"epochs": 1, "batch_size": 22}}
    folder = train(recipe_of(make, seeds=[3], **short), tmp_path / "out")
    train(recipe_of(make, seeds=[4], **short), folder, resumed=True)
    assert recipe_file.load(folder / "recipe.yaml").seeds == (4, 3)


def flat(text):
    return " ".join(text.split())


def refused(mmsa, folder, says, *more):
    before = content(folder) if folder.is_dir() else None
    done = mmsa("resume", folder, *more)
    assert (done.exit_code, done.exception.__class__) == (2, SystemExit), done.output
    assert says in flat(done.output), done.output
    assert (content(folder) if folder.is_dir() else None) == before


def test_what_is_no_experiment_is_refused(mmsa, whole, tmp_path):
    refused(mmsa, tmp_path / "absent", "no run folder")
    refused(mmsa, tmp_path, "holds no experiment (no recipe.yaml, no seed-* folder)")
    copy = shutil.copytree(whole, tmp_path / "out")
    refused(mmsa, copy / "seed-2", f"is one seed of an experiment; go on with all of it: mmsa resume {copy}")
    (copy / "recipe.yaml").unlink()
    refused(mmsa, copy, "has no recipe.yaml, so that its recipe and seeds are not known")
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported" / "provenance.json").write_text('{"importer": {"name": "x"}}')
    refused(mmsa, tmp_path / "imported", "was imported from a checkpoint, not trained")


def test_another_recipe_is_refused(mmsa, killed):
    refused(mmsa, killed, "train.lr is 0.001 there, 0.5 here", "--set", "train.lr=0.5")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_device_is_the_one_that_it_was_begun_on(mmsa, killed):
    path = killed / "seed-1" / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "NVIDIA H100"}))
    refused(mmsa, killed, "no CUDA device is available")
