import pytest
import torch

from mmsa_core import assemble, testing
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.maskers.noise import Noise
from mmsa_core.missing import Draw
from mmsa_core.recipes.recipe import Recipe

DRAW = Draw("test", 1)


def split(full):
    return Split.padded(tuple(map(str, range(len(full)))), full.features, full.observed)


def noisy(full, train=None, draw=DRAW, **fields):
    masker = Noise(Noise.Config(**fields))
    masker.prepare(split(full) if train is None else train)
    return masker(full, draw)


def test_by_hand():
    full = testing.batch(2, 8)
    train = testing.batch(2, 50, seed=3)
    out = noisy(full, split(train), deviations=0.5)
    for m, x in full.features.items():
        deviation = train.features[m][train.observed[m]].double().std(dim=0, correction=0)
        number = DRAW.normal(full.key, x.shape[1], x.shape[2], "noise", m)
        seen = full.observed[m]
        torch.testing.assert_close(out.features[m][seen], (x + 0.5 * deviation * number).float()[seen])
        assert torch.equal(out.features[m][~seen], x[~seen]), "what is not observed is left alone"
        assert out.observed[m] is seen


def test_its_size_is_the_deviation_of_each_column():
    full = testing.batch(1, 4000)
    scale = torch.tensor([1.0, 10.0, 0.1, 0.0])
    full = full.__class__({"text": full.features["text"] * scale + 7}, full.observed, full.target, full.index, full.key)
    seen = full.observed["text"]
    added = (noisy(full, deviations=2.0).features["text"] - full.features["text"])[seen]
    wanted = 2 * full.features["text"][seen].std(dim=0, correction=0)
    torch.testing.assert_close(added.std(dim=0), wanted, rtol=0.03, atol=1e-5)
    assert (added.mean(dim=0).abs() <= 0.06 * wanted + 1e-5).all()
    assert not added[:, 3].any(), "a constant column stays constant"


def test_more_deviations_are_the_same_numbers_scaled():
    full = testing.batch(2, 20)
    one, three = (noisy(full, deviations=d).features["audio"] - full.features["audio"] for d in (1, 3))
    torch.testing.assert_close(three, 3 * one, rtol=1e-3, atol=1e-4)
    assert torch.equal(noisy(full, deviations=0).features["audio"], full.features["audio"])


def test_only_the_named_modalities_are_noisy():
    full = testing.batch(3, 6)
    out = noisy(full, deviations=1, modalities=["audio"])
    assert [m for m in full.features if out.features[m] is not full.features[m]] == ["audio"]
    with pytest.raises(UserError, match="'noise' names 'smell', but the data have text, audio"):
        noisy(full, deviations=1, modalities=["smell"])


def test_token_ids_are_refused():
    train = split(testing.batch(3, 6))
    with pytest.raises(UserError, match=r"'text' has features that are no amounts.*modalities: \[audio, vision\]"):
        Noise(Noise.Config(deviations=1)).prepare(train, {"text"})
    with pytest.raises(UserError, match="use another masker"):
        Noise(Noise.Config(deviations=1)).prepare(train, set(train.features))
    Noise(Noise.Config(deviations=1, modalities=["audio"])).prepare(train, {"text"})


def test_it_is_prepared_before_training(make):
    heard = make.fitted(make.tiny(masker={"name": "noise", "deviations": 0.5}))[1]
    assert all(share == 0 for share in heard.series("hidden/audio"))
    plain = make.fitted(make.tiny(masker=None))[1]
    assert heard.series("loss/task") != plain.series("loss/task")


def test_a_recipe_whose_encoder_reads_tokens(make):
    bert = {
        "name": "bert",
        "architecture": {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 24, "vocabulary": 30},
        "special": {"pad": 0, "unk": 1, "cls": 2, "sep": 3},
        "then": {"name": "pooled"},
    }
    recipe = make.tiny(masker={"name": "noise", "deviations": 0.5})
    encoders = {"text": bert, "audio": {"name": "pooled"}, "vision": {"name": "pooled"}}
    recipe = Recipe.model_validate(
        recipe.model_dump(mode="json") | {"model": {"dim": 8, "encoders": encoders, "fusion": {"name": "concat"}}}
    )
    with pytest.raises(UserError, match=r"masker 'noise': 'text' has features that are no amounts"):
        assemble.masker(recipe, split(testing.batch(3, 6)))
