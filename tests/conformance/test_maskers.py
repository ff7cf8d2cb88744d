"""Wrong maskers, each with one defect, fail with a message that names it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mmsa_core import testing
from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.testing import maskers


def hiding(function, **flags):
    """A masker that hides a frame where a function of (batch, modality, draw) says so."""

    def call(self, batch, draw):
        return batch.hide({m: function(batch, m, draw) for m in batch.observed})

    return type("Wrong", (Masker,), {"__call__": call, **flags})


def changing(function, **flags):
    """A masker that hides half of the frames, and then does something to the batch."""

    def call(self, batch, draw):
        return function(batch, batch.hide({m: half(batch, m, draw) for m in batch.observed}))

    return type("Wrong", (Masker,), {"__call__": call, **flags})


def half(batch, m, draw):
    return draw.frames(batch.key, batch.observed[m].shape[1], m) < 0.5


def by_place(batch, m, draw):
    return torch.rand(batch.observed[m].shape, generator=torch.Generator().manual_seed(draw.seed)) < 0.5


def by_length(batch, m, draw):
    time = batch.observed[m].shape[1]
    return draw.frames(batch.key, time, m, time) < 0.5


def by_share(batch, m, draw):
    return draw.frames(batch.key, batch.observed[m].shape[1], m) < batch.present(m).float().mean() / 2


def by_size(batch, m, draw):
    return draw.frames(batch.key, batch.observed[m].shape[1], m, len(batch)) < 0.5


def by_others(batch, m, draw):
    first = next(iter(batch.observed))
    return half(batch, m, draw) & (m != first)


def with_first(batch, m, draw):
    return half(batch, m, draw) & (batch.key[0] == batch.key[0])


def features(function):
    return changing(
        lambda batch, out: replace(out, features={m: function(batch, m, x) for m, x in batch.features.items()}),
        changes_features=True,
    )


def shown(batch, out):
    return replace(out, observed={m: torch.ones_like(o) for m, o in batch.observed.items()})


def in_place(batch, out):
    for m, seen in batch.observed.items():
        seen &= out.observed[m]
    return out


def drawing(batch, out):
    torch.rand(1)
    return out


def louder(batch, out):
    return replace(out, features={m: 2 * x for m, x in batch.features.items()})


DEFECTS = [
    ("claims", "features were changed or copied, and `changes_features` does not say so", changing(louder)),
    ("claims", "more frames are observed than before", changing(shown, changes_features=True)),
    ("claims", "a frame that was not observed is observed now", changing(shown)),
    ("claims", "the input batch was changed", changing(in_place)),
    ("claims", "target was changed", changing(lambda batch, out: replace(out, target=batch.target + 1))),
    ("order", "the order of samples matters", hiding(by_place)),
    ("order", "the size of the batch matters", hiding(by_size)),
    ("order", "the order of the modalities matters", hiding(by_others)),
    ("hidden", "appending padding frames changes the holes", hiding(by_length)),
    (
        "hidden",
        "the features of unobserved frames matter",
        features(lambda b, m, x: x + F.pad(x[:, :-1], (0, 0, 1, 0))),
    ),
    ("sizes", "a sample alone differs from itself in a batch", hiding(by_place)),
    ("sizes", "batch of none: fails with IndexError", hiding(with_first)),
    ("absent", "that other samples are absent changes a sample", hiding(by_share)),
    ("absent", "a sample without any frame gets some of text, audio, vision", changing(shown, changes_features=True)),
    ("seed", "the same draw hides other frames", hiding(lambda b, m, draw: torch.rand(b.observed[m].shape) < 0.5)),
    ("seed", "global random numbers are drawn", changing(drawing)),
    (
        "seed",
        "another epoch hides the same .* does not say so",
        hiding(lambda b, m, d: half(b, m, replace(d, epoch=0))),
    ),
    ("seed", "another seed hides the same .* does not say so", hiding(lambda b, m, d: half(b, m, replace(d, seed=0)))),
    ("seed", "another epoch hides other frames, and `deterministic` says so", hiding(half, deterministic=True)),
    ("dtypes", "features in float64 become torch.float32", features(lambda b, m, x: x.float())),
    ("device", "given tensors on cpu and meta", hiding(lambda b, m, d: half(b, m, d) & torch.ones(len(b), 1).bool())),
]


@pytest.mark.parametrize(("label", "message", "component"), DEFECTS, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_wrong_is_named(label, message, component, finds):
    finds(maskers.outcomes(lambda: component(ComponentConfig()), [3]), label, f"^Wrong.*{message}")


def test_what_is_right_has_no_defect():
    testing.check_masker(hiding(half))
    testing.check_masker(hiding(lambda b, m, draw: b.observed[m] & (m == "audio"), deterministic=True))


def test_the_first_defect_is_raised():
    with pytest.raises(AssertionError, match=r"^Wrong: 'text': a frame that was not observed"):
        testing.check_masker(changing(shown))
