import pytest
import torch
from pydantic import ValidationError

from mmsa_core import testing
from mmsa_core.errors import UserError
from mmsa_core.maskers.pattern import Pattern
from mmsa_core.missing import Draw


def seen(**fields):
    full = testing.batch(3, 8)
    out = Pattern(Pattern.Config(**fields))(full, Draw("test", 0))
    for m, observed in out.observed.items():
        assert torch.equal(observed, full.observed[m]) or not observed.any()
    return {m for m, observed in out.observed.items() if observed.any()}


def test_keep_and_hide():
    assert seen(keep=["text", "audio"]) == {"text", "audio"}
    assert seen(hide=["text", "audio"]) == {"vision"}


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(UserError, match="names 'smell', but the data have text, audio, vision"):
        seen(keep=["text", "smell"])
    for fields in ({}, {"keep": ["text"], "hide": ["audio"]}, {"keep": []}):
        with pytest.raises(ValidationError):
            Pattern.Config(**fields)
