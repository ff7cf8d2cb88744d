"""`mmsa import dmd`: networks of our own, written as the public code writes its checkpoints, and read back."""

import csv
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from mmsa_dmd import names

from mmsa_core import assemble
from mmsa_core.encoders import pretrained
from mmsa_core.recipes import recipe_file
from mmsa_core.types import Batch

LETTERS = {name: letter for letter, name in names.MODALITIES.items()}
WIDTHS = {"text": 9, "audio": 4, "vision": 5}
KERNELS = {"text": 5, "audio": 1, "vision": 3}  # as on MOSEI
LENGTHS = {"text": 8, "audio": 8, "vision": 8}
HEADS = ("--set", "model.fusion.heads=2")


def network(dim=6, heads=2, widths=WIDTHS, kernels=KERNELS, lengths=LENGTHS, layers=1):
    """DMD with random weights, on features."""
    encoders = {m: {"name": "dmd.encoder", "kernel": kernel} for m, kernel in kernels.items()}
    recipe = {
        "name": "own",
        "data": {"name": "synthetic"},
        "task": {"kind": "regression"},
        "model": {
            "dim": dim,
            "encoders": encoders,
            "fusion": {"name": "dmd.decoupled", "heads": heads, "layers": layers},
        },
        "train": {"epochs": 1, "batch_size": 4},
    }
    made = recipe_file.build(recipe, [], "own")
    model = assemble.model(made.model, made.task, widths, lengths, seed=3).eval()
    source = torch.Generator().manual_seed(4)
    for weight in model.parameters():  # no bias at zero and no scale at one
        weight.data += 0.1 * torch.randn(weight.shape, generator=source)
    return model


def published(model, steps=None):
    """Its tensors as the public code writes them: with weights and buffers that nothing reads."""
    steps = steps or {m: LENGTHS[m] - KERNELS[m] + 1 for m in LETTERS}
    ours, dim = model.state_dict(), len(model.fusion.decoupling.shared.weight)
    layers = model.fusion.crossmodal.readers.layers
    places = names.network(layers, dim, {LETTERS[m]: n for m, n in steps.items()})
    found = names.to_published((place for place in places if place.ours in ours), ours)
    found["trans_l_mem.version"] = torch.tensor([2.0])
    found["trans_l_mem.embed_positions._float_tensor"] = torch.zeros(1)
    return found


def features(widths=WIDTHS, samples=4, frames=8):
    source = torch.Generator().manual_seed(5)
    return {m: torch.randn(samples, frames, width, generator=source) for m, width in widths.items()}


def logits(model, x, observed=None):
    n = torch.arange(len(x["text"]))
    seen = {m: (values != 0).any(dim=2) for m, values in x.items()} | (observed or {})
    with torch.no_grad():
        return model(Batch(x, seen, torch.zeros(len(n)), n, n)).logits[:, 0]


def predictions(mmsa, arrays):
    """What `mmsa predict` prints of a file with these arrays."""
    rows = {key: values.numpy() for key, values in arrays.items()}
    with open("new.pkl", "wb") as file:
        pickle.dump({"test": {"id": [f"clip$_${n}" for n in range(len(rows["audio"]))], **rows}}, file)
    result = mmsa("predict", "run", "new.pkl")
    assert result.exit_code == 0, result.output
    return torch.tensor([float(row["prediction"]) for row in csv.DictReader(result.stdout.splitlines())])


def imported(mmsa, tensors, *given):
    torch.save(tensors, "dmd.pth")
    result = mmsa("import", "dmd", "dmd.pth", "--out", "run", *given)
    assert result.exit_code == 0, result.output
    with open("run/recipe.yaml") as file:
        return yaml.safe_load(file), [line for line in result.stdout.splitlines() if line.startswith("note: ")]


def refused(mmsa, tensors, *given):
    torch.save(tensors, "dmd.pth")
    result = mmsa("import", "dmd", "dmd.pth", "--out", "run", *given)
    assert result.exit_code == 2, result.output
    return [line.removeprefix("error: ") for line in result.stderr.splitlines()]


def test_a_checkpoint_predicts_as_the_network_that_wrote_it(mmsa):
    model, x = network(), features()
    x["audio"][0, 5:] = 0
    x["vision"][1] = 0
    recipe, notes = imported(mmsa, published(model), *HEADS)
    torch.testing.assert_close(predictions(mmsa, x), logits(model, x))
    assert notes == [
        "note: weights tell neither dropout rates (here 0) nor distillers (here none); evaluation needs neither"
    ]
    section = recipe["model"]
    assert list(section["encoders"]) == ["text", "audio", "vision"]
    assert [(e["name"], e["kernel"]) for e in section["encoders"].values()] == [
        ("dmd.encoder", kernel) for kernel in (5, 1, 3)
    ]
    fusion = section["fusion"]
    assert (section["dim"], fusion["heads"], fusion["layers"]) == (6, 2, 1)
    assert (fusion["variant"], fusion["reading"]) == ("published", "flatten")
    assert recipe["data"]["normalize"] == "none"
    assert not recipe["distillers"]
    assert recipe["train"]["accumulate"] == 10


@pytest.mark.parametrize(("dim", "heads", "corpus"), [(50, 10, "MOSI"), (30, 6, "MOSEI")])
def test_published_widths_tell_heads_and_rates(mmsa, dim, heads, corpus):
    model, x = network(dim, heads), features()
    _, notes = imported(mmsa, published(model))
    torch.testing.assert_close(predictions(mmsa, x), logits(model, x))
    assert notes == [
        f"note: {heads} attention heads, as published for width {dim} ({corpus}): weights do not tell",
        f"note: weights tell neither dropout rates (here those published for {corpus}) nor distillers (here none); "
        "evaluation needs neither",
    ]
    name = f"dmd-{corpus.lower()}"
    found = recipe_file.load(Path("run/recipe.yaml"))
    shipped = recipe_file.load(Path(__file__).parents[3] / "recipes" / f"{name}.yaml", ["model.fusion.layers=1"])
    assert found.name == shipped.name
    assert found.model.fusion == shipped.model.fusion
    assert found.model.encoders["text"] == shipped.model.encoders["text"]
    assert found.train == shipped.train


def test_heads_can_be_others_than_published(mmsa):
    model, x = network(30, 2), features()
    _, notes = imported(mmsa, published(model), *HEADS)
    torch.testing.assert_close(predictions(mmsa, x), logits(model, x))
    assert not any("attention heads" in note for note in notes)


def test_features_as_wide_as_the_model_are_not_projected(mmsa):
    widths = WIDTHS | {"audio": 6, "vision": 6}
    model, x = network(widths=widths), features(widths)
    tensors = published(model, {"text": 4, "audio": 8, "vision": 8})
    tensors |= {"proj_a.weight": torch.ones(6, 6, 1), "proj_v.weight": torch.ones(6, 6, 3)}
    _, notes = imported(mmsa, tensors, *HEADS)
    torch.testing.assert_close(predictions(mmsa, x), logits(model, x))
    assert notes[1:] == [
        "note: proj_a.weight is not read, as in the public code: audio is as wide as the model",
        "note: proj_v.weight is not read, as in the public code: vision is as wide as the model",
    ]


def test_of_data_parallel(mmsa):
    model, x = network(layers=2), features()
    imported(mmsa, {f"module.{name}": tensor for name, tensor in published(model).items()}, *HEADS)
    torch.testing.assert_close(predictions(mmsa, x), logits(model, x))


def test_every_tensor_that_does_not_fit_is_listed(mmsa):
    tensors = published(network())
    del tensors["proj_cosine_a.bias"], tensors["trans_v_mem.layers.2.fc1.weight"]
    tensors |= {"extra": torch.ones(3), "out_layer.weight": torch.ones(3, 54), "scale": torch.tensor(1.0)}
    assert refused(mmsa, tensors, *HEADS) == [
        "the tensors are not those of the public code's class DMD:",
        "missing: proj_cosine_a.bias, found none, expected [6]",
        "different: out_layer.weight, found [3, 54], expected [1, 54]",
        "missing: trans_v_mem.layers.2.fc1.weight, found none, expected [48, 12]",
        "unexpected: extra, found [3], expected none",
        "unexpected: scale, found [], expected none",
    ]


def test_a_checkpoint_of_something_else(mmsa):
    assert refused(mmsa, {"proj_l.weight": torch.ones(6, 9, 5), "proj_a.weight": torch.ones(6, 9)}) == [
        "no state dict of the public code's class DMD:",
        "different: proj_a.weight, found [6, 9], expected [d, channels, kernel]",
        "missing: proj_v.weight, found none, expected [d, channels, kernel]",
        "missing: proj1_l_low.weight, found none, expected [d, steps * d]",
        "missing: proj1_a_low.weight, found none, expected [d, steps * d]",
        "missing: proj1_v_low.weight, found none, expected [d, steps * d]",
        "missing: trans_l_with_a.layers.0.fc1.weight, found none, expected [4 * d, d]",
    ]


def test_unknown_heads(mmsa):
    tensors = published(network())
    assert refused(mmsa, tensors) == [
        "a checkpoint does not say its number of attention heads; it is known for the published widths 50 (10) and "
        "30 (6), and this one has 6. Add --set model.fusion.heads=N, one of 1, 2, 3, 6"
    ]
    (message,) = refused(mmsa, tensors, "--set", "model.fusion.heads=4")
    assert "4 heads do not divide the model's width 6" in message


def test_modalities_in_another_order(mmsa):
    encoders = ", ".join(f"{m}: {{name: dmd.encoder, kernel: {KERNELS[m]}}}" for m in ("vision", "audio", "text"))
    assert refused(mmsa, published(network()), *HEADS, "--set", f"model.encoders={{{encoders}}}") == [
        "model.encoders: the weights are stacked in the order text, audio, vision, found vision, audio, text; "
        "override single fields, such as model.encoders.audio.dropout"
    ]


def bert(hidden=64, heads=1):
    """A tiny BERT with a pooler, as the public code has it."""
    import transformers

    sizes = {"num_hidden_layers": 2, "intermediate_size": 24, "vocab_size": 120, "attn_implementation": "eager"}
    config = transformers.BertConfig(hidden_size=hidden, num_attention_heads=heads, **sizes)
    torch.manual_seed(6)
    with pretrained.quiet():
        return transformers.BertModel(config).eval()


def with_bert(model, text):
    """A checkpoint with BERT, as versions of transformers before 4.31 write it."""
    found = published(model) | {f"text_model.model.{name}": x for name, x in text.state_dict().items()}
    return found | {"text_model.model.embeddings.position_ids": torch.arange(512).unsqueeze(0)}


def sentences(*lengths, frames=8):
    """`text_bert` [rows, 3, frames]: [CLS] words [SEP], then padding."""
    found = torch.zeros(len(lengths), 3, frames, dtype=torch.long)
    for row, length in enumerate(lengths):
        words = 103 + torch.arange(length - 2) * (row + 1) % 17
        found[row, 0, :length] = torch.tensor([101, *words.tolist(), 102])
        found[row, 1, :length] = 1
    return found


def states(text, sentence):
    ids, mask, segments = sentence.unbind(1)
    with torch.no_grad():
        return text(input_ids=ids, attention_mask=mask, token_type_ids=segments).last_hidden_state


@pytest.mark.parametrize(("hidden", "heads", "given"), [(128, 2, ()), (24, 3, (3,))])
def test_bert_on_tokens(mmsa, hidden, heads, given):
    pytest.importorskip("transformers")
    widths, text = WIDTHS | {"text": hidden}, bert(hidden, heads)
    model, x = network(widths=widths), features(widths)
    set_heads = [part for n in given for part in ("--set", f"model.encoders.text.architecture.heads={n}")]
    recipe, notes = imported(mmsa, with_bert(model, text), *HEADS, *set_heads)
    assert recipe["data"]["tokens"] is True
    encoder = recipe["model"]["encoders"]["text"]
    wanted = {"hidden": hidden, "layers": 2, "heads": heads, "intermediate": 24, "vocabulary": 120}
    assert encoder["architecture"] == wanted
    assert (encoder["then"]["name"], encoder["then"]["kernel"]) == ("dmd.encoder", 5)
    assert notes[1:] == [
        "note: BERT's pooler is left out: DMD does not read it",
        f"note: BERT's heads number {heads} (if not given, each is 64 wide, as Google's): weights do not tell",
    ]
    said, others = sentences(8, 8, 8, 8), {m: x[m] for m in ("audio", "vision")}
    found = predictions(mmsa, {"text_bert": said, **others})
    torch.testing.assert_close(found, logits(model, {"text": states(text, said), **others}), rtol=1e-4, atol=1e-5)


def test_bert_on_shorter_sentences(mmsa):
    """The published code reads what BERT makes of padding."""
    pytest.importorskip("transformers")
    widths, text = WIDTHS | {"text": 64}, bert()
    model, x = network(widths=widths), features(widths)
    imported(mmsa, with_bert(model, text), *HEADS)
    said, others = sentences(8, 5, 3, 2), {m: x[m] for m in ("audio", "vision")}
    found = predictions(mmsa, {"text_bert": said, **others})
    wanted = logits(model, {"text": states(text, said), **others})
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_bert_of_another_kind(mmsa):
    pytest.importorskip("transformers")
    widths, text = WIDTHS | {"text": 24}, bert(24, 3)
    tensors = with_bert(network(widths=widths), text)
    (message,) = refused(mmsa, tensors, *HEADS)
    assert message == (
        "a checkpoint does not say BERT's number of heads; Google's are 64 wide, which does not divide its width 24. "
        "Add --set model.encoders.text.architecture.heads=N, one of 1, 2, 3, 4, 6, 8, 12, 24"
    )
    tensors["text_model.model.embeddings.position_embeddings.weight"] = torch.zeros(514, 24)
    tensors["proj_l.weight"] = torch.zeros(6, 9, 5)
    assert refused(mmsa, tensors, *HEADS) == [
        "the tensors are not those of the public code's class DMD:",
        "different: proj_l.weight, found [6, 9, 5], expected [6, 24, 5]",
        "different: text_model.model.embeddings.position_embeddings.weight, found [514, 24], expected [512, 24]",
    ]


def test_it_is_listed_and_shown(mmsa):
    lines = [line.split()[:4] for line in mmsa("list", "importers").stdout.splitlines()]
    assert ["importer", "dmd", "mmsa-dmd", "0.1.0"] in lines
    page = mmsa("show", "dmd").stdout
    assert page.startswith("importer dmd (mmsa-dmd 0.1.0)\n\nCheckpoints of DMD's public code")
    assert "\n\nThe network of a checkpoint of DMD's public code" in page
    assert "--set model.fusion.heads=N" in page
