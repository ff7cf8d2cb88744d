"""Answers under many conditions: reused encodings give the numbers of a network that runs anew, and are kept."""

import json
from dataclasses import replace

import pytest
import torch

from mmsa_core.corpora import data
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import answers_file, evaluation, protocol_file
from mmsa_core.evaluation.answers_file import Asked
from mmsa_core.evaluation.scores import answers
from mmsa_core.model import Model
from mmsa_core.run_folder import checkpoint, test_log
from mmsa_core.training import experiment

CPU = torch.device("cpu")
THREE = ("text", "audio", "vision")


@pytest.fixture
def trained(make, tmp_path):
    folder = experiment.train(make.tiny(seeds=[1]), tmp_path / "out", CPU, "test", Display())
    loaded = checkpoint.load(folder / "seed-1")
    return loaded, data.load(loaded.recipe)


@pytest.mark.parametrize("name", sorted(protocol_file.shipped()))
def test_reuse_changes_no_bit(trained, name):
    run, prepared = trained
    split = prepared.splits["test"]
    protocol = protocol_file.get(name, THREE, split)
    for condition in protocol.conditions.values():
        condition.prepare(prepared.splits["train"])
    reused, anew = (
        answers(run.model, split, protocol.conditions, protocol.source(0), 4, reuse) for reuse in (True, False)
    )
    assert list(reused) == list(protocol.conditions)
    for condition, found in reused.items():
        assert found.logits.shape == (len(split), run.recipe.task.width)
        for one, other in zip(found, anew[condition], strict=True):
            assert one.equal(other), condition


def test_a_modality_is_encoded_once_for_each_mask(trained, monkeypatch):
    run, prepared = trained
    count = []
    encode = Model.encode
    monkeypatch.setattr(Model, "encode", lambda *given: count.append(given[1]) or encode(*given))
    grid = protocol_file.get("grid", THREE)
    answers(run.model, prepared.splits["test"], grid.conditions, grid.source(0), 256)
    assert len(grid.conditions) == 77
    assert len(count) <= 3 * 11  # at each rate; hidden is as at rate 1


@pytest.mark.parametrize("reuse", [True, False])
def test_where_nothing_is_seen_there_is_one_answer(trained, monkeypatch, reuse):
    run, prepared = trained
    intra = protocol_file.get("intra", THREE)
    fuse = type(run.model.fusion).forward

    def uneven(self, encoded):
        out = fuse(self, encoded)
        place = torch.arange(len(out.logits)).unsqueeze(1)
        return replace(out, logits=out.logits * (1 + 1e-7 * place))  # as sums over parts of a batch are

    monkeypatch.setattr(type(run.model.fusion), "forward", uneven)
    found = answers(run.model, prepared.splits["test"], intra.conditions, intra.source(0), 4, reuse)
    assert not found["1.0"].subset.any()
    assert len(found["1.0"].logits.unique(dim=0)) == 1
    assert len(found["0.0"].logits.unique(dim=0)) == len(prepared.splits["test"])


def test_answers_are_kept_and_counted_once(trained, monkeypatch):
    run, prepared = trained
    inter = protocol_file.get("inter", THREE)
    before = test_log.count(run.folder)
    first = evaluation.evaluate([run], prepared, "test", inter, CPU, "mmsa evaluate out")
    lines = (run.folder / test_log.FILE).read_text().splitlines()
    assert test_log.count(run.folder) == before + 1
    assert json.loads(lines[-1])["command"] == "mmsa evaluate out"
    monkeypatch.setattr(evaluation, "answers", None)  # nothing is computed again
    again = evaluation.evaluate([run], prepared, "test", inter, CPU)
    assert again.summary() == first.summary()
    for name, found in again.scores[0].answers.items():
        for one, other in zip(found, first.scores[0].answers[name], strict=True):
            assert one.equal(other)
    assert test_log.count(run.folder) == before + 1


@pytest.mark.parametrize(
    "damage", [lambda b: b[:500], lambda b: b"", lambda b: b[:-20] + bytes(20 * [7])], ids=["short", "empty", "altered"]
)
def test_damaged_answers_are_asked_again(trained, damage, caplog):
    run, prepared = trained
    inter = protocol_file.get("inter", THREE)
    first = evaluation.evaluate([run], prepared, "valid", inter, CPU)
    (path,) = (run.folder / answers_file.FOLDER).iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert evaluation.evaluate([run], prepared, "valid", inter, CPU).summary() == first.summary()
    assert "was damaged and is not used" in caplog.text
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_to(trained, monkeypatch):
    run, prepared = trained
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="copy the run to a folder of your own"):
        evaluation.evaluate([run], prepared, "test", protocol_file.get("inter", THREE), CPU)
    assert test_log.count(run.folder) == 1


def test_kept_answers_are_those_of_these_weights_data_and_masks(trained):
    run, prepared = trained
    inter = protocol_file.get("inter", THREE)
    split = prepared.splits["test"]

    def path(protocol=inter, name="test", split=split, digest="data", recipe=run.recipe):
        asked = Asked(run.folder, protocol, name, split, digest, recipe)
        return asked.path(asked.about())

    same = path()
    other_seed = run.recipe.model_copy(update={"evaluate": run.recipe.evaluate.model_copy(update={"seed": 5})})
    others = [
        path(protocol=protocol_file.get("inter", ("text", "audio"))),
        path(name="valid"),
        path(split=split.rows(torch.arange(len(split)) > 0)),
        path(digest="other"),
        path(recipe=other_seed),
    ]
    weights = run.folder / "student.safetensors"
    tensors, about = checkpoint.read_tensors(weights)
    checkpoint.write_tensors(weights, {name: tensor + 1 for name, tensor in tensors.items()}, about)
    others.append(path())
    assert len({same, *others}) == 7
    assert answers_file.read(Asked(run.folder, inter, "test", split, "data", run.recipe)) is None


def test_natural_patterns_are_samples(trained):
    run, prepared = trained
    whole = prepared.splits["test"]
    some = torch.arange(len(whole)) % 3 == 0
    audio = replace(whole.features["audio"], lengths=whole.features["audio"].lengths.masked_fill(some, 0))
    split = replace(whole, features={**whole.features, "audio": audio})
    prepared = replace(prepared, splits={**prepared.splits, "test": split})
    natural = protocol_file.get("natural", THREE, split)
    assert list(natural.conditions) == ["all", "text+vision", "text+audio+vision"]
    evaluated = evaluation.evaluate([run], prepared, "test", natural, CPU)
    found = evaluated.summary()
    assert found["samples_of"] == {"all": 11, "text+vision": 4, "text+audio+vision": 7}
    score = run.recipe.task.score(evaluated.scores[0].answers["all"].logits)
    error = (score - whole.targets["score"]).abs()
    by_hand = {"text+vision": error[some].mean().item(), "text+audio+vision": error[~some].mean().item()}
    for name, value in by_hand.items():
        assert found["conditions"][name]["mae"]["mean"] == pytest.approx(value)
