"""An experiment that goes on: what is kept, what is trained, what is set aside, and what is refused."""

import json
import shutil

import pytest
import torch

from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.run_folder import lock, test_log
from mmsa_core.training import experiment, resume, seed_run

CPU = torch.device("cpu")
SHORT = {"epochs": 1, "batch_size": 22, "lr": 1e-3}


def train(recipe, folder, **options):
    return experiment.train(recipe, folder, CPU, "test", Display(), **options)


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    """Three seeds in one go."""
    return train(make.tiny(seeds=[1, 2, 3], train=SHORT), tmp_path_factory.mktemp("whole") / "out")


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def trained(monkeypatch):
    """The seeds that are trained from now on."""
    seeds, run = [], seed_run.run
    monkeypatch.setattr(seed_run, "run", lambda setting, seed: seeds.append(seed) or run(setting, seed))
    return seeds


def test_more_seeds_than_before(make, whole, tmp_path, monkeypatch):
    folder = train(make.tiny(seeds=[1], train=SHORT), tmp_path / "out")
    before, seeds = tree(folder / "seed-1"), trained(monkeypatch)
    train(make.tiny(seeds=[1, 2, 3], train=SHORT), folder, resumed=True)
    assert seeds == [2, 3]
    assert tree(folder / "seed-1") == before
    assert (folder / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_fewer_seeds_than_before_lose_none(make, copy, whole, monkeypatch):
    seeds = trained(monkeypatch)
    train(make.tiny(seeds=[3], train=SHORT), copy, resumed=True)
    assert seeds == []
    found = json.loads((copy / "results.json").read_text())
    assert found["seeds"] == [3, 1, 2]
    assert sorted(found["conditions"]["test_complete"]["mae"]["values"]) == sorted(
        json.loads((whole / "results.json").read_text())["conditions"]["test_complete"]["mae"]["values"]
    )


@pytest.mark.parametrize("lost", ["results.json", "student.safetensors"])
def test_a_seed_that_was_interrupted_is_trained_anew(make, copy, whole, monkeypatch, capsys, lost):
    (copy / "seed-2" / lost).unlink()
    before, seeds = tree(copy / "seed-2"), trained(monkeypatch)
    train(make.tiny(seeds=[1, 2, 3], train=SHORT), copy, resumed=True)
    assert seeds == [2]
    assert tree(copy / "unfinished-seed-2") == before
    for name in ("student.safetensors", "results.json", "metrics.jsonl"):
        assert (copy / "seed-2" / name).read_bytes() == (whole / "seed-2" / name).read_bytes()
    assert (copy / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert [test_log.count(copy / f"seed-{seed}") for seed in (1, 2, 3)] == [1, 2, 1]  # none is forgotten
    said = capsys.readouterr().out
    assert "finished, and kept as they are: seed-1, seed-3" in said
    assert f"what there was is in {copy / 'unfinished-seed-2'}" in said
    (copy / "seed-2" / lost).unlink()
    train(make.tiny(seeds=[1, 2, 3], train=SHORT), copy, resumed=True)
    assert tree(copy / "unfinished-seed-2") == before
    assert (copy / "unfinished-seed-2-2").is_dir()


def test_an_interruption_before_anything_was_written(make, copy, whole):
    for path in (copy / "seed-3").iterdir():
        if path.name != "recipe.yaml":
            path.unlink()
    (copy / "seed-2" / "recipe.yaml").unlink()  # nothing says what this was: it is not a seed of the experiment
    train(make.tiny(seeds=[1, 2, 3], train=SHORT), copy, resumed=True)
    assert (copy / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert (copy / "unfinished-seed-2").is_dir()


@pytest.mark.parametrize("state", ["finished", "interrupted"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": SHORT | {"lr": 0.5}}, "train.lr is 0.001 there, 0.5 here"),
        ({"masker": None}, "masker.name is modality_dropout there, absent here"),
        (
            {"name": "other", "evaluate": {"seed": 3}},
            "name is tiny there, other here, evaluate.seed is 0 there, 3 here",
        ),
    ],
)
def test_another_recipe_is_refused(make, copy, changes, says, state):
    if state == "interrupted":
        for seed in (1, 2, 3):
            (copy / f"seed-{seed}" / "results.json").unlink()
    before = tree(copy)
    with pytest.raises(UserError) as caught:
        train(make.tiny(**({"seeds": [1, 2, 3, 4], "train": SHORT} | changes)), copy, resumed=True)
    assert "--resume: " in str(caught.value)
    assert says in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert tree(copy) == before


def test_what_makes_no_other_experiment(make, copy, monkeypatch):
    seeds = trained(monkeypatch)
    track = {"wandb": {"mode": "disabled", "tags": ["new"]}}
    train(make.tiny(seeds=[1, 2], train=SHORT, track=track), copy, resumed=True)
    assert seeds == []


def test_other_data_are_refused(make, copy):
    path = copy / "seed-2" / "provenance.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"data_sha256": "abc"}))
    before = tree(copy)
    with pytest.raises(UserError, match=r"seed-2 is of other data: their SHA-256 is abc there, "):
        train(make.tiny(seeds=[1, 2, 3, 4], train=SHORT), copy, resumed=True)
    assert tree(copy) == before


def test_another_teacher_in_the_same_folder_is_refused(make, whole, tmp_path):
    teacher = shutil.copytree(whole, tmp_path / "teacher")
    recipe = make.tiny(seeds=[1, 2], train=SHORT, teacher={"run": str(teacher)}, distillers={"kd": {"name": "kd"}})
    folder = train(recipe, tmp_path / "out")
    shutil.copy(whole / "seed-3" / "student.safetensors", teacher / "seed-2" / "student.safetensors")
    before = tree(folder)
    with pytest.raises(
        UserError, match=r"seed-2: the weights in .*teacher/seed-2 were others then. Nothing was changed"
    ):
        train(recipe.model_copy(update={"seeds": (1, 2, 3)}), folder, resumed=True)
    assert tree(folder) == before


@pytest.mark.needs("mmsa-corrkd")
def test_differences_by_hand(make):
    one, other = make.corrkd(), make.corrkd(teacher={"kind": "none"}, distillers={}, seeds=[7])
    found = resume.differences(one, other)
    assert "teacher.kind is trained there, none here" in found
    assert "distillers is absent there, {} here" in found
    assert "distillers.scd.name is corrkd.scd there, absent here" in found
    assert not any(each.startswith("seeds") for each in found)
    assert resume.differences(one, one) == []


def test_where_there_is_nothing_to_go_on_with(make, tmp_path):
    recipe = make.tiny(train=SHORT)
    with pytest.raises(UserError, match=r"--resume: name the folder .* with --out"):
        train(recipe, None, resumed=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something"):
        train(recipe, tmp_path / "thesis", resumed=True)
    assert resume.begun(train(recipe, tmp_path / "new", resumed=True))  # so that one command begins and goes on
    with pytest.raises(UserError, match="name a new folder or go on with --resume"):
        train(recipe, tmp_path / "new")


def test_two_processes_do_not_train_into_one_folder(make, copy, whole):
    (copy / "seed-2" / "results.json").unlink()
    before, recipe = tree(copy), make.tiny(seeds=[1, 2, 3], train=SHORT)
    with lock.held(copy, print), pytest.raises(UserError, match="another process is training into it"):
        train(recipe, copy, resumed=True)
    assert tree(copy) == before
    train(recipe, copy, resumed=True)
    assert (copy / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_a_seed_that_another_process_finished_meanwhile_is_kept(make, copy, monkeypatch):
    before, seeds = tree(copy / "seed-2"), trained(monkeypatch)
    monkeypatch.setattr(resume, "finished", lambda setting: [1])  # as it was when this process looked
    train(make.tiny(seeds=[1, 2, 3], train=SHORT), copy, resumed=True)
    assert (seeds, tree(copy / "seed-2")) == ([], before)


def test_a_folder_that_another_process_filled_meanwhile_is_refused(make, whole, tmp_path, monkeypatch):
    rehearse, here = experiment.rehearse, tmp_path / "here"
    monkeypatch.setattr(experiment, "rehearse", lambda *a: rehearse(*a) or shutil.copytree(whole, here))
    with pytest.raises(UserError, match="already holds something, and nothing is overwritten"):
        train(make.tiny(seeds=[1], train=SHORT | {"lr": 2e-3}), here)
    assert tree(here) == tree(whole)


def test_seeds_that_another_process_finished_behind_the_first_look_are_not_lost(make, copy, whole, monkeypatch):
    kept, rehearse = copy.with_name("kept"), experiment.rehearse
    (copy / "seed-3").rename(kept)
    monkeypatch.setattr(experiment, "rehearse", lambda *a: rehearse(*a) or kept.rename(copy / "seed-3"))
    train(make.tiny(seeds=[1], train=SHORT), copy, resumed=True)
    assert json.loads((copy / "results.json").read_text())["seeds"] == [1, 2, 3]
