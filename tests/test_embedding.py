"""Representations and their maps: what is in the files, and that equal runs give equal bytes."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from mmsa_core.corpora import data
from mmsa_core.corpora.batching import batches
from mmsa_core.display import Display
from mmsa_core.embedding import embedding, embedding_figure
from mmsa_core.embedding.embedding import Map
from mmsa_core.run_folder import checkpoint, test_log
from mmsa_core.tasks import BinaryLabels, Classification
from mmsa_core.training import experiment

CPU = torch.device("cpu")
PROPER = ["text", "audio", "vision", "text+audio", "text+vision", "audio+vision"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from tests.conftest import tiny

    return experiment.train(tiny(seeds=[1, 2]), tmp_path_factory.mktemp("trained") / "out", CPU, "test", Display())


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def read(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["mmsa"])  # noqa: SIM118


def test_the_file_has_what_the_network_makes_of_each_sample(mmsa, run):
    result = mmsa("embed", run)
    assert result.exit_code == 0, result.output
    folder = run / "embed" / "seed-2"
    assert sorted(path.name for path in folder.iterdir()) == ["pca.csv", "pca.png", "representations.safetensors"]
    tensors, about = read(folder / "representations.safetensors")
    assert about["conditions"] == ["complete", *PROPER]  # all three seen is complete, and stands there once
    loaded = checkpoint.load(run / "seed-2")
    split = data.load(loaded.recipe).splits["test"]
    assert about["ids"] == list(split.ids)
    assert tensors["target"].equal(split.targets["score"])
    with torch.no_grad():
        outputs = loaded.model(next(batches(split, None, len(split))))
    torch.testing.assert_close(tensors["complete/joint"], outputs.joint)
    torch.testing.assert_close(tensors["complete/audio"], outputs.encoded["audio"].pooled)
    assert tensors["complete/subset seen"].tolist() == [7] * len(split)
    assert tensors["text/subset seen"].tolist() == [1] * len(split)
    assert not tensors["text/audio"].any()
    assert tensors["text/text"].equal(tensors["complete/text"])


def test_equal_runs_give_equal_bytes_and_nothing_is_overwritten(mmsa, run):
    for _ in range(2):
        assert mmsa("embed", run / "seed-1", "--method", "both", "--samples", 8).exit_code == 0
    first, second = (run / "seed-1" / name / "seed-1" for name in ("embed", "embed-2"))
    names = sorted(path.name for path in first.iterdir())
    assert names == ["pca.csv", "pca.png", "representations.safetensors", "tsne.csv", "tsne.png"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    rows = list(csv.DictReader(io.StringIO((first / "tsne.csv").read_text())))
    assert len(rows) == 8 * 7
    assert rows[0].keys() == {"id", "condition", "target", "x", "y"}
    result = mmsa("embed", run / "seed-1", "--out", first)
    assert result.exit_code == 2
    assert "nothing is overwritten" in result.output


def test_a_look_at_the_test_split_is_noted(mmsa, run):
    before = test_log.count(run / "seed-1")
    mmsa("embed", run / "seed-1", "--split", "valid")
    assert test_log.count(run / "seed-1") == before
    mmsa("embed", run / "seed-1")
    assert test_log.count(run / "seed-1") == before + 1


def test_chosen_conditions(mmsa, run):
    options = ("--protocol", "grid", "--condition", "audio 0.5", "--split", "valid", "--out", run / "chosen")
    assert mmsa("embed", run / "seed-1", *options).exit_code == 0
    _, about = read(run / "chosen" / "seed-1" / "representations.safetensors")
    assert about["conditions"] == ["complete", "audio 0.5"]
    result = mmsa("embed", run / "seed-1", "--condition", "smell")
    assert result.exit_code == 2
    assert "--condition smell: protocol corrkd-inter has text, audio" in " ".join(result.output.split())


def test_pca_by_hand():
    """Points on a line of slope 3/4, and one off it: the first component is the line, with its larger part positive."""
    rows = np.array([[-4.0, -3.0], [0.0, 0.0], [4.0, 3.0], [0.6, -0.8], [-0.6, 0.8]])
    found = embedding.pca(rows)
    np.testing.assert_allclose(np.abs(found.points), [[5, 0], [0, 0], [5, 0], [0, 1], [0, 1]], atol=1e-9)
    assert found.points[2, 0] == pytest.approx(5)
    assert found.points[4, 1] == pytest.approx(1)  # the larger part, 0.8, is positive
    assert found.axes[0] == "component 1 (96.2 % of the variance)"  # 50 of 52
    np.testing.assert_allclose(embedding.pca(-rows).points, -found.points, atol=1e-9)


def test_what_makes_no_map_is_said():
    with pytest.raises(embedding.UserError, match="make no map"):
        embedding.maps([torch.zeros(9, 4)], ["pca"], "run")


@pytest.mark.parametrize(
    ("task", "target", "names"),
    [
        (Classification(classes=3), [0, 2, 1], ["class 0", "class 2", "class 1"]),
        (BinaryLabels(names=("happy", "sad")), [[1, 1], [0, 0], [0, 1]], ["happy+sad", "none", "sad"]),
    ],
)
def test_the_labels_of_a_map_in_words(task, target, names):
    assert embedding_figure.categories(task, torch.tensor(target)) == names


def test_rare_sets_of_labels_are_others():
    labels = torch.tensor([[int(bit) for bit in f"{n:04b}"] for n in range(16) for _ in range(16 - n)])
    named = embedding_figure.categories(BinaryLabels(names=("a", "b", "c", "d")), labels)
    assert len(set(named)) == 8
    assert named.count("other") == sum(16 - n for n in range(7, 16))


@pytest.mark.parametrize("rates", [{}, {f"{n / 10:g}": n / 10 for n in range(10)}], ids=["subsets", "rates"])
def test_a_picture_of_many_conditions(rates):
    condition = ["complete", *rates] if rates else ["complete", *map(str, range(11))]
    points = np.random.default_rng(0).normal(size=(len(condition), 2))
    target = torch.zeros(len(condition), dtype=torch.int64)
    png = embedding_figure.png("title", Map(points, ("x", "y")), condition, rates, Classification(classes=2), target)
    again = embedding_figure.png("title", Map(points, ("x", "y")), condition, rates, Classification(classes=2), target)
    assert png == again
    assert Image.open(io.BytesIO(png)).size == (1650, 1110)
