from collections import Counter
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from mmsa_core import testing
from mmsa_core.errors import UserError
from mmsa_core.maskers.subset import Subset
from mmsa_core.missing import Draw

ALL = ["text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision"]
CMAD = dict(zip(ALL, (2, 3, 3, 1, 3, 1, 1), strict=True))


def drawn(full, weights=None, seed=1):
    """The subset that each sample kept."""
    out = Subset(Subset.Config(weights=weights))(full, Draw("test", seed))
    present = torch.stack([out.present(m) for m in full.observed], dim=1).tolist()
    return ["+".join(m for m, here in zip(full.observed, row, strict=True) if here) for row in present]


def complete(samples):
    full = testing.batch(3, samples)
    return replace(full, observed={m: torch.ones_like(o) for m, o in full.observed.items()})


@pytest.mark.parametrize("weights", [None, CMAD, {"text": 1, "vision+audio": 3}])
def test_shares_follow_the_weights(weights):
    samples = 7000
    count = Counter(drawn(complete(samples), weights))
    wanted = {"+".join(m for m in ALL[:3] if m in key): w for key, w in (weights or dict.fromkeys(ALL, 1)).items()}
    total = sum(wanted.values())
    assert set(count) == set(wanted)
    chi_square = sum((count[key] - samples * w / total) ** 2 / (samples * w / total) for key, w in wanted.items())
    assert chi_square < 30, "99.99 % of draws with 6 degrees of freedom lie below 28"


def test_only_subsets_that_meet_what_is_present_are_drawn():
    full = complete(3000)
    full = full.hide({"audio": full.observed["audio"], "vision": full.observed["vision"]})
    assert set(drawn(full)) == {"text"}
    full = complete(3000)
    full = full.hide({"audio": full.observed["audio"]})
    count = Counter(drawn(full))
    # Six of seven subsets meet {text, vision}: t, ta keep text; v, va keep vision; tv, tva keep both.
    assert set(count) == {"text", "vision", "text+vision"}
    for share in count.values():
        assert share / 3000 == pytest.approx(1 / 3, abs=0.04)


def test_a_sample_that_no_weighted_subset_meets_keeps_what_it_has():
    full = complete(10)
    full = full.hide({"text": full.observed["text"]})
    assert set(drawn(full, {"text": 1})) == {"audio+vision"}
    assert set(drawn(full.hide(full.observed))) == {""}


def test_a_weight_of_zero_is_never_drawn():
    weights = dict.fromkeys(ALL, 0) | {"audio": 0.1, "vision": 0.2}
    assert set(drawn(complete(500), weights)) == {"audio", "vision"}


def test_unknown_modalities_and_empty_weights():
    with pytest.raises(UserError, match=r"weights name 'smell', but the data have audio, text, vision.*'audio\+text'"):
        drawn(complete(2), {"text+smell": 1})
    with pytest.raises(ValidationError, match="every subset has weight 0"):
        Subset.Config(weights={"text": 0})
    with pytest.raises(ValidationError, match="are the same subset"):
        Subset.Config(weights={"text+audio": 1, "audio+text": 2})
    for weights in ({}, {"text": -1}):
        with pytest.raises(ValidationError):
            Subset.Config(weights=weights)
