"""`mmsa masks`: what it writes is met again to the last bit, and published masks are those of the code's own arrays."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
import yaml

from mmsa_core import missing
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.evaluation import protocol_file
from mmsa_core.masks import manifest
from mmsa_core.masks.published_masks import CODES, tfr_net
from mmsa_core.masks.published_masks.recording import stored_length
from mmsa_core.masks.recording import drawn
from mmsa_core.recipes import recipe_file

RECIPE = """\
name: tiny
seeds: [1]
data: {name: synthetic, samples: [24, 12, 12], length: [3, 7], channels: {text: 6, audio: 4, vision: 5}}
task: {kind: bins, classes: 7}
model:
  dim: 8
  encoders: {text: {name: pooled}, audio: {name: pooled}, vision: {name: pooled}}
  fusion: {name: concat}
train: {epochs: 1, batch_size: 8}
"""
BURSTS = """\
name: bursts
rates: {values: [0, 0.4, 1.0], masker: {name: burst, length: 2}}
conditions:
  complete: []
  both: [{name: cells, rate: 0.5}, {name: frame_dropout, rate: 0.3}]
averages:
  area: {over: ["0.0", "0.4", "1.0"], how: area}
"""


@pytest.fixture
def here(mmsa, tmp_path):
    """The command, in a folder with a recipe and a protocol."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "bursts.yaml").write_text(BURSTS)

    def run(*arguments, code=0):
        result = mmsa(*arguments)
        assert result.exit_code == code, result.output
        return result.output

    run.folder = tmp_path
    return run


@pytest.mark.parametrize("protocol", ["bursts.yaml", "inter"])
def test_replayed_answers_are_those_of_the_protocol(here, protocol):
    here("train", "recipe.yaml", "--out", "run")
    said = here("masks", "run", "--protocol", protocol, "--out", "masks")
    assert said.splitlines()[-1] == "replay: mmsa evaluate RUN --protocol masks/protocol.yaml --split test"
    (here.folder / "masks").rename(here.folder / "moved")
    for name, path in (("drawn", protocol), ("again", "moved/protocol.yaml")):
        here("evaluate", "run", "--protocol", path, "--json", f"{name}.json")
    first, second = (json.loads((here.folder / f"{name}.json").read_text()) for name in ("drawn", "again"))
    for key in ("conditions", "averages", "averaged", "averaged_how", "samples", "references"):
        assert first[key] == second[key], key
    assert second["protocol"] == f"{first['protocol']}-replay"


@pytest.mark.parametrize("name", ["intra", "block", "grid"])
def test_replayed_masks_are_the_drawn_ones(here, name):
    here("masks", "recipe.yaml", "--protocol", name, "--out", "masks", "--split", "valid", "--set", "evaluate.seed=4")
    split = data.load(recipe_file.load(here.folder / "recipe.yaml")).splits["valid"]
    own = protocol_file.get(name, tuple(split.features), split)
    replayed = protocol_file.get(str(here.folder / "masks" / "protocol.yaml"), tuple(split.features), split)
    assert list(own.conditions) == list(replayed.conditions)
    for label, condition in own.conditions.items():
        one = drawn(condition, split, own.source(4), size=12)
        other = drawn(replayed.conditions[label], split, replayed.source(9), size=5)
        assert all(torch.equal(one[m], other[m]) for m in split.features), label
        assert replayed.conditions[label].at == condition.at


def test_what_cannot_be_recorded_is_refused(here):
    (here.folder / "noise.yaml").write_text("name: n\nconditions: {loud: [{name: noise, deviations: 1}]}\n")
    said = here("masks", "recipe.yaml", "--protocol", "noise.yaml", "--out", "masks", code=2)
    assert "protocol 'n', condition 'loud': masker 'noise' changes what frames show" in said
    assert "other samples in each condition" in here(
        "masks", "recipe.yaml", "--protocol", "natural", "--out", "masks", code=2
    )
    assert "give either --protocol or --published" in here("masks", "recipe.yaml", "--out", "masks", code=2)
    assert "--set evaluate.seed=N" in here(
        "masks", "recipe.yaml", "--protocol", "inter", "--seed", "3", "--out", "masks", code=2
    )
    assert not (here.folder / "masks").exists()
    (here.folder / "masks").mkdir()
    (here.folder / "masks" / "mine").write_text("")
    assert "already holds something" in here("masks", "recipe.yaml", "--protocol", "inter", "--out", "masks", code=2)


FRAMES = {"text": 9, "audio": 7, "vision": 8}


@pytest.fixture
def pickled(here):
    """A pickle whose sequences are all shorter than its arrays; the row with id 2 has nothing in it."""
    draw, splits, lengths = np.random.default_rng(0), {}, {}
    for name in ("train", "valid", "test"):
        lengths[name] = {m: draw.integers(1, frames - 1, 40) for m, frames in FRAMES.items()}
        for each in lengths[name].values():
            each[2] = 0
        splits[name] = {m: draw.normal(size=(40, n, 3)).astype(np.float32) for m, n in FRAMES.items()}
        for m, each in lengths[name].items():
            splits[name][m][np.arange(FRAMES[m]) >= each[:, None]] = 0
        splits[name] |= {f"{m}_lengths": lengths[name][m].tolist() for m in FRAMES}
        splits[name] |= {"id": [str(n) for n in range(40)], "regression_labels": draw.uniform(-3, 3, 40)}
    with (here.folder / "clips.pkl").open("wb") as file:
        pickle.dump(splits, file)
    here.options = ["--set", "data.name=mmsa-pickle", "--set", "data.path=clips.pkl"]
    return lengths["test"]


@pytest.mark.parametrize("code", CODES)
def test_published_masks_are_those_of_the_arrays_in_the_file(here, pickled, code):
    said = here("masks", "recipe.yaml", "--published", code, "--out", "masks", *here.options)
    assert "rows 40, frames text 9, audio 7, vision 8" in said
    valid = [np.arange(frames) < pickled[m][:, None] for m, frames in FRAMES.items()]
    files = sorted((here.folder / "masks").glob("*.safetensors"))
    assert len(files) == len(CODES[code].RATES)
    for rate, file in zip(CODES[code].RATES, files, strict=True):
        found = manifest.read(file)
        assert found.about["condition"] == f"{rate:.1f}"
        for m, kept in zip(FRAMES, CODES[code].masks(valid, rate), strict=True):
            assert np.array_equal(found.observed[m].numpy(), kept), (rate, m)
    here("train", "recipe.yaml", "--out", "run", *here.options)
    here("evaluate", "run", "--protocol", "masks/protocol.yaml", "--json", "found.json")
    assert json.loads((here.folder / "found.json").read_text())["samples"] == 39


def test_seed_order_and_frames_of_published_masks(here, pickled):
    more = ["--seed", "5", "--order", "vision,text,audio", "--frames", "audio=20"]
    said = here("masks", "recipe.yaml", "--published", "mmsa", "--out", "masks", *more, *here.options)
    assert "frames vision 8, text 9, audio 20" in said
    valid = [np.arange(n) < pickled[m][:, None] for m, n in (("vision", 8), ("text", 9), ("audio", 20))]
    found = manifest.read(here.folder / "masks" / "00-0.2.safetensors")
    for m, kept in zip(("vision", "text", "audio"), tfr_net.masks(valid, 0.2, 5), strict=True):
        assert np.array_equal(found.observed[m].numpy(), kept)
    for option, message in {
        "--frames=audio=3": "--frames audio=3: the longest sequence has",
        "--frames=smell=3": "--frames smell=3: expected one of text, audio, vision",
        "--frames=audio": "expected MODALITY=NUMBER",
        "--order=text,audio": "the published codes mask three modalities",
    }.items():
        assert message in here(
            "masks", "recipe.yaml", "--published", "mmsa", "--out", "new", option, *here.options, code=2
        )
    assert not (here.folder / "new").exists()


def test_the_length_of_what_was_padded():
    padded = Sequences.of(torch.zeros(4, 9, 2), torch.arange(9) < torch.tensor([[3], [5], [0], [1]]))
    assert stored_length(padded) == 9
    ragged = Sequences(torch.zeros(9, 2), torch.tensor([0, 3, 8]), torch.tensor([3, 5, 1]))
    assert stored_length(ragged) == 5
    split = Split(("a",), {"text": Sequences.of(torch.zeros(1, 4, 2), torch.ones(1, 4, dtype=torch.bool))})
    assert stored_length(split.features["text"]) == 4


def test_places_on_the_axis_are_of_conditions(here):
    text = yaml.safe_dump({"name": "n", "conditions": {"a": []}, "at": {"b": 0.5}})
    (here.folder / "own.yaml").write_text(text)
    assert "at: 'b' is not among the conditions: a" in here(
        "masks", "recipe.yaml", "--protocol", "own.yaml", "--out", "masks", code=2
    )


def test_samples_keep_their_keys_when_others_are_left_out(here, pickled):
    here("masks", "recipe.yaml", "--protocol", "inter", "--out", "masks", *here.options)
    found = manifest.read(next((here.folder / "masks").glob("*.safetensors")))
    assert "2" not in found.ids
    assert torch.equal(found.key, missing.keys(found.ids))


def test_protocols_of_noise_and_delay(here):
    """They are evaluated with the training split's deviations, the same whenever they are asked."""
    text = "name: n\nconditions: {loud: [{name: noise, deviations: 2}], late: [{name: late, frames: 2}], plain: []}\n"
    (here.folder / "own.yaml").write_text(text)
    here("train", "recipe.yaml", "--out", "run")
    for name, size in (("a", 256), ("b", 5)):
        size = f"evaluate.batch_size={size}"
        here("evaluate", "run", "--protocol", "own.yaml", "--split", "valid", "--json", f"{name}.json", "--set", size)
        shutil.rmtree(here.folder / "run" / "seed-1" / "answers")
    first, second = (json.loads((here.folder / f"{name}.json").read_text())["conditions"] for name in "ab")
    assert first["loud"] != first["plain"]
    assert first["late"] != first["plain"]
    for name, values in first.items():
        for metric, value in values.items():
            assert value["mean"] == pytest.approx(second[name][metric]["mean"], abs=1e-5), (name, metric)
