"""Checkpoints of other people's code: what becomes a run folder, and what is refused."""

import json
import os
import pickle
import sys
from hashlib import sha256

import pytest
import torch
import yaml
from torch import nn

from mmsa_core import assemble, registry
from mmsa_core.corpora import data
from mmsa_core.evaluation.asking import predict
from mmsa_core.run_folder import checkpoint

CHANNELS = {"text": 6, "audio": 4, "vision": 5}
LENGTHS = {"text": 5, "audio": 5, "vision": 5}
RECIPE = {
    "name": "foreign",
    "data": {"name": "synthetic", "samples": [12, 8, 10], "length": [3, 5], "channels": CHANNELS},
    "task": {"kind": "regression"},
    "model": {"dim": 8, "encoders": {m: {"name": "pooled"} for m in CHANNELS}, "fusion": {"name": "concat"}},
    "train": {"epochs": 1, "batch_size": 8},
}
OURS = {"net.": "encoders.", "out.": "fusion.head."}
IMPORTER = f'''
from mmsa_core.errors import UserError
from mmsa_core.run_folder.importing import Imported

RECIPE = {RECIPE!r}


def published(tensors, overrides):
    """Networks of the test's own authors."""
    if "other" in tensors:
        raise UserError("this is a checkpoint of something else")
    if "garbled" in tensors:
        return tensors["absent"]
    if "careless" in tensors:
        return None
    state = {{}}
    for name, tensor in tensors.items():
        for theirs, ours in {OURS!r}.items():
            name = name.replace(theirs, ours)
        state[name] = tensor
    notes = ("overrides: " + " ".join(overrides),) if overrides else ()
    return Imported(RECIPE, state, {CHANNELS!r}, {LENGTHS!r}, notes)


NUMBER = 3
'''


@pytest.fixture
def mmsa(mmsa, tmp_path, monkeypatch):
    """The command, in a folder of its own, beside a distribution with importers."""
    info = tmp_path / "dist" / "mmsa_fake-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmsa-fake\nVersion: 0.3\n")
    names = "fake.published = fake_importer:published\nfake.number = fake_importer:NUMBER\n"
    (info / "entry_points.txt").write_text(f"[mmsa.importers]\n{names}")
    (tmp_path / "dist" / "fake_importer.py").write_text(IMPORTER)
    monkeypatch.syspath_prepend(tmp_path / "dist")
    monkeypatch.setattr(registry.importers, "_loaded", {})
    registry.metadata.cache_clear()
    yield mmsa
    registry.metadata.cache_clear()
    sys.modules.pop("fake_importer", None)


@pytest.fixture
def network(make):
    """A network as the recipe builds it."""
    recipe = make.tiny(**RECIPE)
    return assemble.model(recipe.model, recipe.task, CHANNELS, LENGTHS, seed=5).eval()


def theirs(network):
    """A network's tensors by the names of other people."""
    found = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("standardize.")}
    for foreign, ours in OURS.items():
        found = {name.replace(ours, foreign): tensor for name, tensor in found.items()}
    return found


def refused(mmsa, *arguments):
    result = mmsa(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert not os.path.exists("run")
    assert not os.path.exists("pwned")
    return result.stderr


def test_a_checkpoint_becomes_a_run(mmsa, network, tmp_path):
    torch.save(theirs(network), "best.pth")
    result = mmsa("import", "fake.published", "best.pth", "--out", "run")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == "run folder: run"
    folder = tmp_path / "run"
    names = ["provenance.json", "recipe.yaml", "results.json", "student.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    loaded = checkpoint.load(folder)
    assert loaded.recipe.data.normalize == "none"
    assert loaded.results == {"conditions": {}, "threshold": None}
    for module in loaded.model.standardize.values():
        assert not module.mean.any()
        assert (module.scale == 1).all()
        assert module.known
    about = json.loads((folder / "provenance.json").read_text())
    assert about["importer"] == {"name": "fake.published", "of": "mmsa-fake 0.3"}
    assert about["checkpoint"] == {
        "name": "best.pth",
        "sha256": sha256((tmp_path / "best.pth").read_bytes()).hexdigest(),
    }
    assert {"torch", "mmsa-core", "mmsa-fake"} <= set(about["versions"])
    assert "data_sha256" not in about
    split = data.load(loaded.recipe).splits["test"]
    args = (split, loaded.recipe.task, [data.NO_DRAW], None)
    assert torch.equal(predict(loaded.model, *args)[0], predict(network, *args)[0])


def test_the_run_is_an_ordinary_one(mmsa, network):
    torch.save(theirs(network), "best.pth")
    assert mmsa("import", "fake.published", "best.pth", "--out", "run").exit_code == 0
    result = mmsa("evaluate", "run", "--protocol", "inter")
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output  # there are no data that it was trained on to compare with
    rows = {
        "id": ["new$_$0"],
        **{m: torch.ones(1, 5, width).numpy() for m, width in CHANNELS.items()},
        "regression_labels": torch.ones(1).numpy(),
    }
    with open("new.pkl", "wb") as file:
        pickle.dump({"test": rows}, file)
    predicted = mmsa("predict", "run", "new.pkl", "--format", "mmsa-pickle")
    assert predicted.exit_code == 0, predicted.output
    assert "new$_$0" in predicted.stdout
    taught = yaml.safe_dump(RECIPE | {"teacher": {"run": "run"}, "distillers": {"hint": {"name": "feature"}}})
    with open("taught.yaml", "w") as file:
        file.write(taught)
    result = mmsa("train", "taught.yaml")
    assert result.exit_code == 0, result.output


def test_overrides_reach_the_importer_and_the_recipe(mmsa, network):
    torch.save(theirs(network), "best.pth")
    given = ["--set", "evaluate.seed=7", "--set", "seeds=[3,4]"]
    result = mmsa("import", "fake.published", "best.pth", "--out", "run", *given)
    assert result.exit_code == 0, result.output
    assert "note: overrides: evaluate.seed=7 seeds=[3,4]" in result.stdout
    with open("run/recipe.yaml") as file:
        recipe = yaml.safe_load(file)
    assert recipe["evaluate"]["seed"] == 7
    assert recipe["seeds"] == [3]
    message = mmsa("import", "fake.published", "best.pth", "--out", "other", "--set", "model.dimm=3").stderr
    assert "--set model.dimm=3: model.dimm: unknown key 'dimm'. Did you mean 'dim'?" in message
    message = mmsa("import", "fake.published", "best.pth", "--out", "other", "--set", "data.normalize=standard").stderr
    assert "data.normalize: imported weights take features as they are, expected none, found standard" in message


def test_every_tensor_that_does_not_fit_is_listed(mmsa, network):
    tensors = theirs(network)
    del tensors["net.text.perceptron.0.bias"]
    tensors |= {"out.weight": torch.ones(2, 24), "extra": torch.ones(3), "standardize.text.mean": torch.ones(6)}
    torch.save(tensors, "best.pth")
    lines = refused(mmsa, "import", "fake.published", "best.pth", "--out", "run").splitlines()
    assert lines == [
        "error: best.pth, read by importer 'fake.published': does not fit the recipe",
        "error: missing: encoders.text.perceptron.0.bias, found none, expected [8]",
        "error: different: fusion.head.weight, found [2, 24], expected [1, 24]",
        "error: unexpected: extra, found [3], expected none",
        "error: unexpected: standardize.text.mean, found [6], expected none",
    ]


def test_modalities_that_do_not_fit(mmsa, network):
    torch.save(theirs(network), "best.pth")
    given = ["--set", "model.encoders={text: {name: pooled}}"]
    message = refused(mmsa, "import", "fake.published", "best.pth", "--out", "run", *given)
    assert "its channels are of text, audio, vision, the recipe reads text" in message


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


class Module(nn.Linear):
    pass


BAD = {
    "executes": ({"a": torch.ones(1), "b": Evil()}, ["the file asks for", "system'", "Nothing was executed"]),
    "a whole module": (Module(2, 2), ["the file asks for", "Module'", "torch.save(model.state_dict(), FILE)"]),
    "nested": ({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, ["found 'state_dict' (dict), 'epoch' (int)"]),
    "other values": ({"a": torch.ones(1), "b": 1.5}, ["found 'b' (float)"]),
    "numbered": ({1: torch.ones(1)}, ["found 1 (tensor)"]),
    "many others": ({f"a{n}": n for n in range(9)}, ["'a4' (int) and 4 more"]),
    "sparse": ({"a": torch.eye(2).to_sparse()}, ["found 'a' (tensor without plain numbers)"]),
    "a list": ([torch.ones(1)], ["expected a dict of names and tensors, found list"]),
    "nothing": ({}, ["found an empty one"]),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_no_state_dict(mmsa, content, says, zipped):
    torch.save(content, "bad.pth", _use_new_zipfile_serialization=zipped)
    message = refused(mmsa, "import", "fake.published", "bad.pth", "--out", "run")
    assert message.startswith("error: bad.pth: ")
    assert "weights_only" not in message
    for each in says:
        assert each in message


@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint", pickle.dumps({"a": 1}, 4), pickle.dumps(Evil(), 4), b"PK\x03\x04" + b"x" * 60],
    ids=["empty", "text", "another pickle", "a pickle that executes", "half a zip"],
)
def test_a_file_of_something_else(mmsa, content):
    with open("bad.pth", "wb") as file:
        file.write(content)
    message = refused(mmsa, "import", "fake.published", "bad.pth", "--out", "run")
    assert message.startswith("error: bad.pth: not a whole checkpoint of tensors")
    assert "Nothing was executed" in message
    assert "weights_only" not in message


def test_a_checkpoint_cut_short(mmsa, network):
    torch.save(theirs(network), "best.pth")
    with open("best.pth", "rb+") as file:
        file.truncate(3000)
    message = refused(mmsa, "import", "fake.published", "best.pth", "--out", "run")
    assert "best.pth: not a whole checkpoint of tensors" in message
    assert "cannot read the checkpoint absent.pth: No such file" in refused(
        mmsa, "import", "fake.published", "absent.pth", "--out", "run"
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("other", "error: this is a checkpoint of something else"),
        ("garbled", "importer 'fake.published' cannot read bad.pth: KeyError: 'absent'"),
        ("careless", "importer 'fake.published' gives NoneType instead of Imported"),
    ],
)
def test_an_importer_that_refuses_or_fails(mmsa, name, says):
    torch.save({name: torch.ones(1)}, "bad.pth")
    assert says in refused(mmsa, "import", "fake.published", "bad.pth", "--out", "run")


def test_a_folder_that_holds_something_is_left_alone(mmsa, network, tmp_path):
    torch.save(theirs(network), "best.pth")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("keep")
    message = refused(mmsa, "import", "fake.published", "best.pth", "--out", "mine")
    assert "--out mine: already holds something, and nothing is overwritten" in message
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious.txt"]


def test_a_crash_in_the_middle_leaves_no_folder(mmsa, network, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    torch.save(theirs(network), "best.pth")
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_model", stopped)
        assert mmsa("import", "fake.published", "best.pth", "--out", "run").exit_code == 130
    assert sorted(tmp_path.iterdir()) == before
    assert mmsa("import", "fake.published", "best.pth", "--out", "run").exit_code == 0


def test_importers_are_listed_and_shown(mmsa):
    lines = [line.split() for line in mmsa("list").stdout.splitlines()]
    assert ["importer", "fake.published", "mmsa-fake", "0.3"] in lines
    assert {line.split()[0] for line in mmsa("list", "importers").stdout.splitlines()} == {"importer"}
    page = mmsa("show", "fake.published").stdout
    assert page == "importer fake.published (mmsa-fake 0.3)\n\nNetworks of the test's own authors.\n"
    assert "Did you mean 'fake.published'?" in mmsa("show", "publishd").stderr


def test_an_unknown_importer_suggests(mmsa):
    message = refused(mmsa, "import", "publishd", "absent.pth", "--out", "run")
    assert "unknown importer 'publishd'. Did you mean 'fake.published'?" in message
    assert "fake.number" in message
    message = refused(mmsa, "import", "fake.number", "absent.pth", "--out", "run")
    assert "importer 'fake.number' of mmsa-fake 0.3 (fake_importer:NUMBER, " in message
