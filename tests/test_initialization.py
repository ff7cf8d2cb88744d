"""Networks that start from the weights of an earlier run."""

import json
from hashlib import sha256

import pytest
import torch
from torch import nn

from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.run_folder import checkpoint
from mmsa_core.training import experiment
from mmsa_core.training.initialization import grouped, initialise, listed

MODALITIES = ("text", "audio", "vision")
SELF_SUPERVISED = {
    "task": {"kind": "none"},
    "teacher": {"kind": "ema"},
    "distillers": {"hint": {"name": "feature"}},
}


def run(recipe, folder):
    return experiment.train(recipe, folder, torch.device("cpu"), "test", Display())


def section(encoder="transformer", dim=8, fusion="concat", **fields):
    own = {"name": encoder} | ({"layers": 1, "heads": 2} if encoder == "transformer" else {})
    return {"dim": dim, "encoders": dict.fromkeys(MODALITIES, own), "fusion": {"name": fusion}} | fields


def started(make, run, heard=None, **changes):
    """A network as it is before its first step, and what was said of it."""
    model = changes.pop("model", section()) | {"init": {"run": str(run)}}
    stages = make.stages(make.tiny(model=model, **changes), heard := make.Heard())
    return stages.network(stages.recipe.model, "student", stages.train), heard.notes


@pytest.fixture
def pretrained(make, tmp_path):
    return run(make.tiny(**SELF_SUPERVISED), tmp_path / "pretrained")


def weights_of(folder):
    return checkpoint.read_tensors(folder / "student.safetensors")[0]


def test_every_tensor_of_the_same_model_is_taken(make, pretrained):
    other_data = {"name": "synthetic", "samples": [30, 9, 11], "length": [3, 6]}
    network, notes = started(make, pretrained, data=other_data, task={"kind": "regression"})
    there, own = weights_of(pretrained / "seed-1"), network.state_dict()
    learned = [name for name in own if not name.startswith("standardize.")]
    assert all(torch.equal(own[name], there[name]) for name in learned)
    assert notes == [f"student: {len(learned)} of {len(learned)} tensors are those of {pretrained / 'seed-1'}"]


def test_statistics_are_those_of_the_data_at_hand(make, pretrained):
    other_data = {"name": "synthetic", "samples": [30, 9, 11], "length": [3, 6]}
    network, _ = started(make, pretrained, data=other_data)
    fresh = make.stages(make.tiny(data=other_data))
    expected = fresh.network(fresh.recipe.model, "student", fresh.train).state_dict()
    statistics = [name for name in expected if name.startswith("standardize.")]
    there = weights_of(pretrained / "seed-1")
    assert all(torch.equal(network.state_dict()[name], expected[name]) for name in statistics)
    assert not all(torch.equal(there[name], expected[name]) for name in statistics)


def test_what_has_another_shape_or_name_stays_fresh_and_is_said(make, pretrained):
    encoders = section()["encoders"] | {"audio": {"name": "pooled"}}
    network, (note,) = started(make, pretrained, model=section(encoders=encoders))
    there, own = weights_of(pretrained / "seed-1"), network.state_dict()
    fresh = make.stages(make.tiny(model=section(encoders=encoders)))
    expected = fresh.network(fresh.recipe.model, "student", fresh.train).state_dict()
    assert torch.equal(own["encoders.text.convolution.weight"], there["encoders.text.convolution.weight"])
    for name in ("fusion.head.weight", *(name for name in own if name.startswith("encoders.audio."))):
        assert torch.equal(own[name], expected[name])
    assert "fresh: fusion.head.weight [7, 24] (there [1, 24]), fusion.head.bias [7] (there [1])" in note
    audio = [sum(name.startswith("encoders.audio.") for name in names) for names in (own, there)]
    assert note.endswith(f", encoders.audio.* ({audio[0]}); not used of it: encoders.audio.* ({audio[1]})")


class Named(nn.Module):
    """Parameters of some shapes by their dotted names."""

    def __init__(self, **shapes):
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))


def test_the_sentence_by_hand(tmp_path):
    there = {"a": torch.ones(2), "b": torch.ones(3, 1), "c.x": torch.ones(1), "c.y": torch.ones(1)}
    there |= {"standardize.x.mean": torch.ones(1)}
    checkpoint.write_tensors(tmp_path / "student.safetensors", there, {})
    network = Named(a=2, b=3, d=1)
    assert initialise(network, tmp_path) == (
        f"1 of 3 tensors are those of {tmp_path}; fresh: b [3] (there [3, 1]), d; not used of it: c.* (2)"
    )
    assert [p.sum().item() for p in network.parameters()] == [2.0, 0.0, 0.0]


def test_names_are_grouped_by_hand():
    among = ["a.x.w", "a.x.b", "a.y.w", "b.w", "b.b", "c", "d.e.f"]
    assert grouped(["a.x.w", "a.x.b", "b.w", "c", "d.e.f"], among) == ["a.x.* (2)", "b.w", "c", "d.* (1)"]
    assert grouped([], among) == []
    assert listed([str(n) for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert listed(["a", "b"]) == "a, b"


def test_a_run_of_which_nothing_fits(make, pretrained):
    with pytest.raises(UserError, match=r"^model.init: none of the \d+ tensors of .*seed-1 has the name and shape"):
        started(make, pretrained, model=section(encoder="pooled", dim=4))


def test_a_run_of_several_seeds(make, tmp_path):
    folder = run(make.tiny(seeds=[1, 2]), tmp_path / "pretrained")
    for seed in (1, 2):
        network, _ = started(make, folder, seeds=[seed])
        there = weights_of(folder / f"seed-{seed}")
        assert torch.equal(network.fusion.head.weight, there["fusion.head.weight"])
    network, _ = started(make, folder / "seed-2", seeds=[1])
    assert torch.equal(network.fusion.head.weight, there["fusion.head.weight"])
    with pytest.raises(UserError, match=r"^model.init: .* holds seed-1, seed-2, but no seed-9; name one of them$"):
        started(make, folder, seeds=[9])
    with pytest.raises(UserError, match="no run folder"):
        started(make, tmp_path / "nowhere")


@pytest.mark.needs("mmsa-corrkd")
def test_a_run_that_starts_from_another(make, tmp_path, monkeypatch, pretrained, capsys):
    """The path is made absolute, the weights are named by their digest, and the terms keep their own parameters."""
    monkeypatch.chdir(pretrained.parent)
    model, train = section(init={"run": pretrained.name}), {"epochs": 1, "batch_size": 22, "lr": 1e-12}
    recipe = make.corrkd(model=model, train=train, task={"kind": "bins", "classes": 7})
    one = run(recipe, tmp_path / "out") / "seed-1"
    weights = pretrained / "seed-1" / "student.safetensors"
    about = json.loads((one / "provenance.json").read_text())
    assert about["initialised_from"] == {str(weights.parent): sha256(weights.read_bytes()).hexdigest()}
    said = capsys.readouterr().out
    for role in ("student", "teacher"):  # the teacher's network is the student's by default
        assert said.count(f"note: {role}: ") == 1
    monkeypatch.chdir(tmp_path)
    loaded = checkpoint.load(one)
    assert loaded.recipe.model.init.run == pretrained
    name = "encoders.text.convolution.weight"
    torch.testing.assert_close(loaded.model.state_dict()[name], weights_of(pretrained / "seed-1")[name])
    critics = (found := make.stages(recipe)).modules(found.network(recipe.model, "student", found.train)).state_dict()
    found, _ = checkpoint.read_tensors(one / "distillers.safetensors")
    assert all(torch.allclose(found[name], critics[name], atol=0.05) for name in critics)


def test_a_teachers_network_has_a_start_of_its_own(make, tmp_path, monkeypatch, pretrained):
    monkeypatch.chdir(pretrained.parent)
    teacher = {"kind": "trained", "model": section(init={"run": pretrained.name})}
    recipe = experiment.anchored(make.corrkd(teacher=teacher))
    assert recipe.model.init is None
    assert recipe.teacher.model.init.run == pretrained
    stages = make.stages(recipe, heard := make.Heard())
    stages.student()
    assert [note.split(":")[0] for note in heard.notes] == ["teacher"]
    assert list(stages.initialised_from()) == [str(pretrained / "seed-1")]


def test_without_an_init_nothing_is_said(make):
    stages = make.stages(make.tiny(), heard := make.Heard())
    stages.student()
    assert heard.notes == []
    assert stages.initialised_from() == {}
