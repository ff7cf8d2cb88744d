"""BERT on tokens: what it reads, what learns, where it comes from, and what is refused; all of it tiny and random."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mmsa_core import registry
from mmsa_core.components import Context
from mmsa_core.corpora import data
from mmsa_core.encoders import pretrained
from mmsa_core.encoders.bert import Bert
from mmsa_core.errors import UserError
from mmsa_core.run_folder import checkpoint
from mmsa_core.tasks import Regression

SIZES = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 24, "vocabulary": 30}
SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3}
TINY = {"name": "bert", "architecture": SIZES, "special": SPECIAL, "then": {"name": "pooled", "dropout": 0.0}}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(4, 30))]


def encoder(length=8, channels=3, dim=8, **fields):
    torch.manual_seed(0)
    config = registry.encoders.config({**TINY, **fields})
    return Bert(config, Context({"text": channels}, {"text": length}, dim, Regression()), "text")


def of_folder(folder, **fields):
    return encoder(architecture=None, special=None, model=str(folder), **fields)


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT with a pooler, as transformers saves it, and its vocabulary."""
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    with pretrained.quiet():
        transformers.BertModel(transformers.BertConfig(vocab_size=30, **sizes)).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return tmp_path


def tokens(*ids):
    """A batch of sentences with attention mask and segment ids."""
    table = torch.tensor(ids)
    return torch.stack([table, torch.ones_like(table), torch.zeros_like(table)], dim=2).float()


SAID = tokens([2, 11, 12, 3, 0], [2, 21, 22, 23, 3])
SEEN = torch.tensor([[True] * 4 + [False], [True] * 5])


def test_then_reads_the_hidden_states_of_the_observed_tokens():
    bert = encoder().eval()
    assert bert.then.perceptron[0].in_features == 16
    assert bert(SAID, SEEN).sequence.shape == (2, 5, 8)
    read = []
    bert.then.forward = lambda features, observed: read.append((features, observed))
    bert(SAID, SEEN)
    ((features, observed),) = read
    assert torch.equal(observed, SEEN)
    for row, length in ((0, 4), (1, 5)):
        alone = bert.bert(input_ids=SAID[row : row + 1, :length, 0].long()).last_hidden_state[0]
        torch.testing.assert_close(features[row, :length], alone, atol=1e-5, rtol=1e-4)


def test_a_hidden_token_is_unknown_to_bert():
    bert, seen = encoder().eval(), SEEN.clone()
    seen[1, 2] = False
    hidden, unknown = SAID.clone(), SAID.clone()
    hidden[1, 2], unknown[1, 2, 0] = float("nan"), 1
    found, wanted = bert(hidden, seen), bert(unknown, seen)
    assert torch.equal(found.sequence, wanted.sequence)
    assert torch.equal(found.observed, seen)


def test_segments_reach_bert():
    bert, other = encoder().eval(), SAID.clone()
    other[0, 2, 2] = 1
    moved = (bert(other, SEEN).pooled != bert(SAID, SEEN).pooled).any(dim=1)
    assert moved.tolist() == [True, False]


def test_fine_tuned():
    bert = encoder(lr=1e-5).train()
    assert bert.bert.training
    bert(SAID, SEEN).pooled.sum().backward()
    assert all(p.grad is not None for p in bert.bert.parameters())
    assert bert.own_rates() == ((bert.bert, 1e-5),)
    assert encoder().own_rates() == ()


def test_frozen():
    bert = encoder(trainable=False, lr=1e-5).train()
    assert bert.training
    assert bert.then.training
    assert not any(module.training for module in bert.bert.modules())
    assert not encoder(trainable=False).bert.training, "from the start"
    bert(SAID, SEEN).pooled.sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in bert.bert.parameters())
    assert all(p.grad is not None for p in bert.then.parameters())
    assert bert.own_rates() == ()
    assert torch.equal(bert(SAID, SEEN).pooled, bert(SAID, SEEN).pooled), "no dropout in it"


def test_an_encoder_with_a_rate_of_its_own_may_follow():
    inner = {**TINY, "lr": 1e-4, "architecture": {**SIZES, "hidden": 6}}
    bert = encoder(architecture={**SIZES, "hidden": 3, "heads": 1}, then=inner, lr=1e-5)
    assert bert.own_rates() == ((bert.bert, 1e-5), (bert.then.bert, 1e-4))


def test_a_folder_quietly(folder, capfd):
    bert = of_folder(folder)
    assert bert.special.model_dump() == SPECIAL
    assert bert.bert.training, "transformers loads in eval mode"
    assert bert.bert.pooler is None
    weights = checkpoint_of(folder)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in bert.bert.state_dict().items())
    assert "".join(capfd.readouterr()) == ""


def checkpoint_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_special_ids_of_a_folder(folder):
    content = {"model": {"vocab": {word: number for number, word in enumerate(WORDS)}}}
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert of_folder(folder).special.model_dump() == SPECIAL
    (folder / "tokenizer.json").write_text('{"model": {"vocab": {"<unk>": 0}}}', encoding="utf-8")
    with pytest.raises(UserError, match=r"does not say the ids of \[PAD\].*`special`"):
        of_folder(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"special ids .*'unk': 100.* do not fit a vocabulary of 30; set `special`"):
        of_folder(folder)


def test_a_folder_that_holds_something_else(folder):
    weights = checkpoint_of(folder)
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "kept")
    with pytest.raises(UserError, match=r"no BERT can be loaded.*It needs config\.json and model.safetensors"):
        of_folder(folder)  # a pickle is not read
    from safetensors.torch import save_file

    removed = "encoder.layer.0.output.dense.bias"
    kept = {name: tensor for name, tensor in weights.items() if name != removed}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"its weights lack 1 of BERT's, such as {removed}"):
        of_folder(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}), encoding="utf-8")
    with pytest.raises(UserError, match="model_type 'roberta'; encoder 'bert' reads 'bert'"):
        of_folder(folder)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./bert", "~/no-such-bert", "models/my/bert"])
def test_a_path_that_leads_nowhere(path):
    with pytest.raises(UserError, match=r"no folder .*, which should hold BERT's config\.json"):
        of_folder(path)


def test_a_name_is_looked_for_here_first(folder, monkeypatch):
    import huggingface_hub

    asked = []

    def download(name, allow_patterns, local_files_only=False):
        asked.append((name, local_files_only))
        if name == "lab/tiny" and local_files_only:
            return str(folder)
        raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert of_folder("lab/tiny").special.model_dump() == SPECIAL
    assert asked == [("lab/tiny", True)]
    with pytest.raises(UserError, match=r"'bert-tiny' is no folder here .* Hugging Face Hub .*not in the cache"):
        of_folder("bert-tiny")
    assert asked[1:] == [("bert-tiny", True), ("bert-tiny", False)]


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"encoder 'bert' needs transformers .*pip install 'mmsa-core\[text\]'"):
        encoder()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": None}, "either model .* or architecture"),
        ({"model": "bert-tiny"}, "either model .* or architecture"),
        ({"architecture": {**SIZES, "heads": 3}}, "3 heads do not divide hidden 16"),
        ({"then": {"name": "poled"}}, "Did you mean 'pooled'"),
    ],
)
def test_configs_that_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        registry.encoders.config({**TINY, **fields})


def test_a_folder_is_known_from_anywhere(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    fields = {"architecture": None, "special": None, "model": folder.name}
    assert registry.encoders.config({**TINY, **fields}).model == str(folder)


def test_features_are_no_tokens():
    with pytest.raises(UserError, match=r"reads tokens .* features of width 384; set data\.tokens: true"):
        encoder(channels=384)


@pytest.mark.parametrize(("token", "found"), [(30.0, "30.0"), (-1.0, "-1.0"), (4.5, "4.5"), (float("nan"), "nan")])
def test_ids_that_are_none(token, found):
    bad = SAID.clone()
    bad[1, 2, 0] = token
    with pytest.raises(UserError, match=rf"of 'text' reads .* below \[30, 2, 2\], and found \[{found}, 1.0, 0.0\]"):
        encoder()(bad, SEEN)


def test_sentences_that_are_too_long():
    with pytest.raises(UserError, match="positions for 512 tokens, and the data have 513"):
        encoder(length=513)
    bert = encoder(length=512).eval()
    whole = torch.ones(1, 512, dtype=torch.bool)
    assert bert(tokens([7] * 512), whole).sequence.shape == (1, 512, 8)
    with pytest.raises(UserError, match="positions for 512 tokens, and the data have 513"):
        bert(tokens([7] * 513), torch.ones(1, 513, dtype=torch.bool))


@pytest.fixture
def file(tmp_path):
    """A corpus of tokens and sound in MMSA's schema."""
    rng = np.random.default_rng(0)

    def split(rows):
        length = rng.integers(3, 7, size=(rows, 1))
        ids = rng.integers(4, 30, size=(rows, 6)) * (np.arange(6) < length)
        ids[:, 0], ids[np.arange(rows), length[:, 0] - 1] = 2, 3
        return {
            "text_bert": np.stack([ids, np.arange(6) < length, 0 * ids], axis=1),
            "audio": rng.normal(5, 2, size=(rows, 4, 5)),
            "regression_labels": rng.uniform(-3, 3, size=rows),
        }

    path = tmp_path / "tokens.pkl"
    path.write_bytes(pickle.dumps({"train": split(24), "valid": split(8), "test": split(8)}))
    return path


def recipe(make, file, text):
    encoders = {"text": text, "audio": {"name": "pooled"}}
    return make.corrkd(
        data={"name": "mmsa-pickle", "path": file, "tokens": True, "modalities": {"text": "text", "audio": "audio"}},
        model={"dim": 8, "encoders": encoders, "fusion": {"name": "concat"}},
    )


def test_training_from_tokens(make, file):
    trainer, _ = make.fitted(recipe(make, file, TINY | {"lr": 1e-4}))
    text, audio = (trainer.network.standardize[m] for m in ("text", "audio"))
    assert not text.mean.any()
    assert (text.scale == 1).all()
    assert text.known
    assert audio.mean.all()


def test_a_run_is_rebuilt_with_its_own_weights(make, file, folder, tmp_path):
    text = {"name": "bert", "model": str(folder), "then": {"name": "pooled"}}
    chosen = recipe(make, file, text)
    trainer, _ = make.fitted(chosen)
    found = data.load(chosen)
    path = tmp_path / "student.safetensors"
    checkpoint.save_model(path, trainer.network, found.channels)
    again, *_ = checkpoint.load_model(path, chosen.model, chosen)
    for name, tensor in trainer.network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    start = checkpoint_of(folder)["encoder.layer.0.output.dense.weight"]
    assert not torch.equal(again.encoders["text"].bert.state_dict()["encoder.layer.0.output.dense.weight"], start)
