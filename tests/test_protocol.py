"""Protocols as YAML: what ships, what one writes oneself, and averages that name their conditions."""

import math

import pytest
import torch

from mmsa_core.display import headline
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file
from mmsa_core.evaluation.protocol import Average, Condition, average
from mmsa_core.missing import Draw
from mmsa_core.tasks import Classification, Regression
from mmsa_core.testing import samples

THREE = ("text", "audio", "vision")
SUBSETS = ["text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision"]


def written(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return str(path)


def test_subsets_of_any_number_of_modalities():
    inter = protocol_file.get("corrkd-inter", THREE)
    assert list(inter.conditions) == SUBSETS
    assert inter.averages == {"avg6": Average(tuple(SUBSETS[:6]))}
    assert protocol_file.get("inter", ("text",)).averages == {}
    assert list(protocol_file.get("inter", ("a", "b", "c", "d")).averages) == ["avg14"]


def test_rates_and_their_area():
    intra = protocol_file.get("intra", THREE)
    assert list(intra.conditions) == [f"{n / 10:.1f}" for n in range(11)]
    auilc = protocol_file.get("emt-dlfr", THREE).averages["auilc"]
    weights = auilc.weights(protocol_file.get("emt-dlfr", THREE).conditions)
    assert list(weights.values()) == pytest.approx([0.05, *[0.1] * 9, 0.05])
    uneven = {"a": Condition(at=0.0), "b": Condition(at=0.2), "c": Condition(at=1.0)}
    # by hand: (4 + 2) / 2 * 0.2 + (2 + 1) / 2 * 0.8 = 1.8
    found = Average(("a", "b", "c"), "area").weights(uneven)
    assert average([4.0, 2.0, 1.0], list(found.values())) == pytest.approx(1.8)
    assert average([4.0, None, 1.0], list(found.values())) is None


def test_every_protocol_that_ships():
    for name in protocol_file.shipped():
        found = protocol_file.get(name, THREE)
        assert found.name == name
        assert len(found.about) > 40
        assert found.conditions
        for each in found.averages.values():
            assert math.isclose(sum(each.weights(found.conditions).values()), 1.0)


def test_a_grid_meets_the_holes_of_its_rates():
    grid, intra = (protocol_file.get(name, THREE) for name in ("grid", "intra"))
    assert len(grid.conditions) == 77
    batch = samples.batch(THREE, 20)
    assert grid.source(3) == intra.source(3) == Draw("intra", 3)
    alone = grid.conditions["text+audio 0.3"](batch, grid.source(3))
    whole = intra.conditions["0.3"](batch, intra.source(3))
    for modality in ("text", "audio"):
        assert alone.observed[modality].equal(whole.observed[modality])
    assert not alone.observed["vision"].any()


def test_proper_subsets_are_subsets(tmp_path):
    text = "name: a\nsubsets: true\nconditions: {complete: [], text later: []}\naverages: {'avg{n}': {over: proper}}\n"
    assert protocol_file.get(written(tmp_path, text), THREE).averages["avg6"].over == tuple(SUBSETS[:6])


def test_a_mean_of_equal_values_is_that_value():
    weights = Average(tuple("abcdef")).weights({})
    assert average([0.5] * 6, list(weights.values())) == 0.5


def test_f1_never_stands_alone():
    first = protocol_file.get("inter", THREE).metrics
    sentiment = Classification(classes=3, sentiment=True)
    names = sentiment.metrics(torch.zeros(4, 3), torch.tensor([0, 1, 2, 2]))
    columns = headline(sentiment, {"text": dict.fromkeys(names)}, first)
    assert columns == ["f1_non0", "auc_non0", "positive_rate", "f1", "auc", "acc", "f1_macro"]
    score = Regression().metrics(torch.zeros(4, 1), torch.tensor([-1.0, 0.0, 1.0, 2.0]), 0.5)
    columns = headline(Regression(), {"text": dict.fromkeys(score)}, first)
    assert columns == ["f1_non0", "f1_non0_tuned", "auc_non0", "positive_rate", "mae", "corr"]


def test_one_modality_at_a_time_is_late():
    late = protocol_file.get("asynchronous", THREE)
    assert list(late.conditions)[:6] == ["text 1", "text 2", "text 4", "text 8", "text 16", "audio 1"]
    assert list(late.conditions)[-1] == "in time"
    assert late.averages["avg15"].over == tuple(late.conditions)[:-1]
    batch = samples.batch(THREE, 8)
    seen = late.conditions["audio 2"](batch, late.source(0))
    assert not seen.observed["audio"][:, :2].any()
    assert seen.features["audio"][:, 2:].equal(batch.features["audio"][:, :-2])
    assert seen.features["text"] is batch.features["text"]


def test_one_of_ones_own(tmp_path):
    text = """
name: mine
axis: damage
conditions:
  nothing: []
  "late speech": [{name: block, rate: 0.5}, {name: pattern, hide: [vision]}]
averages:
  both: {over: [nothing, late speech]}
"""
    found = protocol_file.get(written(tmp_path, text), THREE)
    assert (found.name, found.axis) == ("mine", "damage")
    assert [len(each.maskers) for each in found.conditions.values()] == [0, 2]
    batch = samples.batch(THREE, 10)
    seen = found.conditions["late speech"](batch, found.source(0))
    assert not seen.observed["vision"].any()
    assert seen.observed["text"].sum() < batch.observed["text"].sum()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nrats: true\n", "own.yaml:2: rats: unknown key 'rats'. Did you mean 'rates'?"),
        ("name: a\n", "there is no condition; give subsets, rates, patterns or conditions"),
        ("name: a\nconditions:\n  x: [{name: blok}]\n", "unknown masker 'blok'. Did you mean 'block'?"),
        ("name: a\nrates: {values: [0, 2], masker: {name: block}}\n", "less than or equal to 1"),
        ("name: a\nrates: {values: [0.2, 0.1], masker: {name: block}}\n", "expected numbers that rise"),
        ("name: a\nsubsets: true\naverages: {m: {over: [txt]}}\n", "averages.m: no condition 'txt'; there are: text,"),
        ("name: a\nsubsets: true\naverages: {m: {how: area}}\n", "averages.m: an area needs two rates or more"),
        ("name: a\nconditions: {x: []}\naverages: {m: {over: [x, x]}}\n", "averages.m: names 'x' twice"),
        (
            "name: a\nconditions: {x: [], y: []}\nat: {x: 0.5, y: 0}\naverages: {m: {how: area}}\n",
            "averages.m: an area needs rates that rise, found 0.5, 0",
        ),
        ("name: a\nsubsets: true\naverages: {text: {}}\n", "averages.text: something else is called 'text' already"),
        ("name: a\nsubsets: true\naverages: {avg7: {}, 'avg{n}': {}}\n", "something else is called 'avg7' already"),
        ("name: a\nsubsets: true\nconditions: {audio: []}\n", "two conditions are called 'audio'"),
        ("name: a\nconditions: {'': []}\n", "at least 1 character"),
        ("[1]\n", "a protocol is a mapping of keys to values, found list"),
        ("name: a\nname: b\nsubsets: true\n", "own.yaml:2: key 'name' is repeated"),
    ],
)
def test_bad_files(tmp_path, text, said):
    with pytest.raises(UserError) as error:
        protocol_file.get(written(tmp_path, text), THREE)
    assert said in str(error.value)


def test_unknown_names(tmp_path):
    with pytest.raises(UserError, match=r"unknown protocol 'itner'\. Did you mean 'inter'"):
        protocol_file.get("itner", THREE)
    with pytest.raises(UserError, match="cannot read the protocol"):
        protocol_file.get(str(tmp_path / "absent.yaml"), THREE)
