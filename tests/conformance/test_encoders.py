"""Wrong encoders, each with one defect, fail with a message that names it."""

from dataclasses import replace

import pytest
import torch

from mmsa_core import testing
from mmsa_core.encoders.pooled import PooledEncoder
from mmsa_core.testing import encoders
from mmsa_core.types import Encoded

NOISE = torch.Generator().manual_seed(0)


def wrong(function):
    """An encoder that changes what `pooled` gives: a function of (self, out, features, observed)."""

    def forward(self, features, observed):
        return function(self, PooledEncoder.forward(self, features, observed), features, observed)

    return type("Wrong", (PooledEncoder,), {"forward": forward})


def there(out, x):
    """Other pooled values, zero where a sample has no frame."""
    return replace(out, pooled=x.masked_fill(~out.present.unsqueeze(1), 0.0))


def averaging(self, out, x, seen):
    return there(Encoded(out.sequence, seen, out.pooled), out.sequence.mean(dim=1))


def multiplying(self, out, x, seen):
    mean = (x * seen.unsqueeze(2)).sum(dim=1) / seen.sum(dim=1, keepdim=True).clamp(min=1)
    return there(out, self.perceptron(mean))


def cut_off(self, out, x, seen):
    zero = 0 * sum(p.sum() for p in self.parameters())
    return Encoded(out.sequence.detach() + zero, out.observed, out.pooled.detach() + zero)


def showing(self, out, x, seen):
    return replace(out, observed=seen | ~seen.any(dim=1, keepdim=True))


def blind(self, out, x, seen):
    return there(out, seen[:, :1] + torch.zeros_like(out.pooled))


def needs_two_frames(self, out, x, seen):
    return replace(out, sequence=out.sequence[:, 1:]) if x.shape[1] == 1 else out


DEFECTS = [
    ("finite", "`pooled` has shape", lambda s, o, x, seen: replace(o, pooled=o.pooled[:, :-1])),
    ("finite", "`observed` is not boolean", lambda s, o, x, seen: replace(o, observed=o.observed.long())),
    ("finite", "a parameter's gradient is not finite when hidden frames are NaN", multiplying),
    ("finite", "observed frames get no gradient", cut_off),
    ("order", "the order of samples matters", lambda s, o, x, seen: there(o, o.pooled.cumsum(dim=0))),
    ("order", "sample 0 alone differs", lambda s, o, x, seen: replace(o, pooled=o.pooled - o.pooled.mean(dim=0))),
    ("hidden", "nan at hidden frames changes the result", multiplying),
    ("hidden", "appending padding frames changes the result.*or say `fixed_length`", averaging),
    (
        "hidden",
        "unobserved steps of `sequence` are not zero",
        lambda s, o, x, seen: replace(o, sequence=o.sequence + 1),
    ),
    ("hidden", "observed frames change nothing", blind),
    ("sizes", "on a single frame: `sequence` has shape", needs_two_frames),
    ("sizes", "batch of none: fails with IndexError", lambda s, o, x, seen: (o.pooled[0], o)[1]),
    ("absent", "has `pooled` other than zero", lambda s, o, x, seen: replace(o, pooled=o.pooled + 1)),
    ("absent", "has observed steps", showing),
    ("claims", "another one without gradients", lambda s, o, x, seen: there(o, o.pooled + o.pooled.requires_grad)),
    ("dtypes", "fails in float64", lambda s, o, x, seen: there(o, o.pooled @ torch.eye(8))),
    ("dtypes", "not finite in float16", lambda s, o, x, seen: there(o, o.pooled * 1e4 * 1e4 / 1e8)),
    (
        "seed",
        "gives another result in evaluation",
        lambda s, o, x, seen: there(o, o.pooled + NOISE.initial_seed() + draw()),
    ),
    ("seed", "it sets the seed of torch's generator", lambda s, o, x, seen: (torch.manual_seed(0), o)[1]),
    ("device", "mul is given tensors on cpu and meta", lambda s, o, x, seen: there(o, o.pooled * torch.ones(8))),
]


def draw():
    """A number that no seed of torch decides."""
    return torch.rand(1, generator=NOISE)


@pytest.mark.parametrize(("label", "message", "function"), DEFECTS, ids=lambda x: None if callable(x) else x)
def test_what_is_wrong_is_named(label, message, function, finds):
    finds(encoders.outcomes(wrong(function), PooledEncoder.Config(), dim=8), label, f"^Wrong.*{message}")


def test_the_first_defect_is_raised():
    with pytest.raises(AssertionError, match=r"^Wrong: `pooled` has shape \(6, 7\)"):
        testing.check_encoder(wrong(DEFECTS[0][2]), dim=8)


def test_what_says_fixed_length_is_not_tried_with_padding():
    fixed = wrong(averaging)
    fixed.fixed_length = True
    testing.check_encoder(fixed, dim=8)


def test_length_is_held_to(finds):
    short = type("Short", (PooledEncoder,), {"length": lambda self, time: time - 1})
    found = encoders.outcomes(short, PooledEncoder.Config(), dim=8)
    finds(found, "claims", "Short: `length` says 6 steps for 7 frames, and `sequence` has 7")
