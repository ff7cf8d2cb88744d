"""Wrong fusions, each with one defect, fail with a message that names it."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from mmsa_core.fusions.concat import Concat
from mmsa_core.testing import fusions
from mmsa_core.types import Outputs


def wrong(function, **more):
    """A fusion whose joint representation is a function of (self, encoded modalities)."""

    def forward(self, encoded):
        joint = function(self, encoded)
        return Outputs(encoded, joint, self.head(joint))

    return type("Wrong", (Concat,), {"forward": forward, **more})


def joined(self, parts):
    return torch.cat(list(parts), dim=1)


def usual(self, encoded):
    return joined(self, (encoded[m].pooled for m in self.modalities))


def dividing(self, encoded):
    return joined(self, (x / x.norm(dim=1, keepdim=True) for x in (encoded[m].pooled for m in self.modalities)))


def deaf(self, encoded):
    """Hears one modality only."""
    return joined(self, (encoded[self.modalities[0]].pooled for _ in self.modalities))


def last_step(self, encoded):
    return joined(self, (encoded[m].sequence[:, -1] for m in self.modalities))


def whitened(self, encoded):
    joint = usual(self, encoded)
    return joint * sum(encoded[m].present.sum() for m in self.modalities) / (len(joint) + 1)


DEFECTS = [
    ("finite", "outputs are not finite where modalities are absent", dividing),
    ("finite", "logits have shape", lambda s, e: usual(s, e).unsqueeze(1)),
    ("finite", "get no gradient", lambda s, e: usual(s, e).detach()),
    ("order", "the order of samples matters", lambda s, e: usual(s, e).cumsum(dim=0)),
    ("order", "sample 0 alone differs", lambda s, e: usual(s, e) - usual(s, e).mean(dim=0)),
    ("order", "the order of the mapping matters", lambda s, e: joined(s, (x.pooled for x in e.values()))),
    ("hidden", "appending padding frames changes the result.*or say `fixed_length`", last_step),
    ("sizes", "batch of none: fails with IndexError", lambda s, e: (usual(s, e)[0], usual(s, e))[1]),
    ("absent", "whether 'audio' is there changes nothing", deaf),
    ("absent", "that other samples lack 'text' changes a sample", whitened),
    ("claims", "the encoded modalities change nothing", lambda s, e: usual(s, e) * 0 + 1),
    ("dtypes", "fails in float64", lambda s, e: usual(s, e) @ torch.eye(s.head.in_features)),
    ("device", "given tensors on cpu and meta", lambda s, e: usual(s, e) + torch.zeros(s.head.in_features)),
]


@pytest.mark.parametrize(("label", "message", "function"), DEFECTS, ids=lambda x: None if callable(x) else x)
def test_what_is_wrong_is_named(label, message, function, finds):
    found = fusions.outcomes(wrong(function), Concat.Config(), counts=(1, 3), dim=8)
    finds(found, label, f"^Wrong.*{message}")


def test_what_is_right_has_no_defect():
    found = fusions.outcomes(wrong(usual), Concat.Config(), counts=(1, 3), dim=8)
    assert not [each.defect for each in found if each.defect]


@dataclass(frozen=True, slots=True)
class More(Outputs):
    gate: Tensor


def giving(out):
    def forward(self, encoded):
        return out(Concat.forward(self, encoded))

    return type("Giving", (Concat,), {"forward": forward, "gives": More})


@dataclass(frozen=True, slots=True)
class Other(More):
    @classmethod
    def example(cls, batch, context, seed):
        base = Outputs.example(batch, context, seed)
        return cls(base.encoded, base.joint, base.logits, base.joint.new_zeros(len(batch), 5))


def test_it_gives_what_it_says(finds):
    found = fusions.outcomes(giving(lambda out: out), Concat.Config(), counts=(2,))
    finds(found, "claims", "outputs are not More")


def test_what_it_gives_has_an_example(finds):
    more = giving(lambda out: More(out.encoded, out.joint, out.logits, out.logits))
    finds(fusions.outcomes(more, Concat.Config(), counts=(2,)), "claims", "More has no `example` of its own; write one")


def test_the_example_is_like_it(finds):
    more = giving(lambda out: Other(out.encoded, out.joint, out.logits, out.logits))
    more.gives = Other
    message = r"`Other.example` is unlike what it gives: outputs.gate is float32 \[6, 5\], expected float32 \[6, 1\]"
    finds(fusions.outcomes(more, Concat.Config(), counts=(2,)), "claims", message)
