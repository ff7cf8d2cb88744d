"""Wrong maskers, each with one defect, fail with a message that names it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mmsa_core import testing
from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.maskers.frame_dropout import FrameDropout
from mmsa_core.testing import maskers


class Reference(Masker):
    """Hides a frame where `hidden` says so."""

    def __call__(self, batch, draw):
        return batch.hide({m: self.hidden(batch, m, draw) for m in batch.observed})


class Positional(Reference):
    """Draws by place in the batch."""

    def hidden(self, batch, m, draw):
        return torch.rand(batch.observed[m].shape, generator=torch.Generator().manual_seed(draw.seed)) < 0.5


class Fresh(Reference):
    """Draws from the global generator."""

    def hidden(self, batch, m, draw):
        return torch.rand(batch.observed[m].shape) < 0.5


class Frozen(Reference):
    """Draws the same in every epoch."""

    def hidden(self, batch, m, draw):
        return replace(draw, epoch=0).frames(batch.key, batch.observed[m].shape[1], m) < 0.5


class ByLength(Reference):
    """Draws by the padded length."""

    def hidden(self, batch, m, draw):
        time = batch.observed[m].shape[1]
        return draw.frames(batch.key, time, m, time) < 0.5


class Revealing(Reference):
    """Shows padding."""

    def __call__(self, batch, draw):
        return replace(batch, observed={m: torch.ones_like(o) for m, o in batch.observed.items()})


class InPlace(FrameDropout):
    """Writes into the batch that it is given."""

    def __call__(self, batch, draw):
        out = super().__call__(batch, draw)
        for m, seen in batch.observed.items():
            seen &= out.observed[m]
        return out


class Louder(FrameDropout):
    """Changes features and does not say so."""

    def __call__(self, batch, draw):
        return replace(batch, features={m: 2 * x for m, x in batch.features.items()})


class Guessing(FrameDropout):
    """Says that it changes features, and shows what was missing."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(batch, observed={m: torch.ones_like(o) for m, o in batch.observed.items()})


class Spreading(FrameDropout):
    """Says that it changes features, and mixes those of unobserved frames into others."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(batch, features={m: x + F.pad(x[:, :-1], (0, 0, 1, 0)) for m, x in batch.features.items()})


class Batchwise(FrameDropout):
    """Says that it changes features, by an amount that depends on the batch."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(batch, features={m: x + len(batch) for m, x in batch.features.items()})


class Sampled(Reference):
    """Fails where there is no sample."""

    def hidden(self, batch, m, draw):
        assert batch.key[0] is not None
        return draw.frames(batch.key, batch.observed[m].shape[1], m) < 0.5


class Sharing(Reference):
    """Hides of a sample what depends on how many have the modality."""

    def hidden(self, batch, m, draw):
        share = batch.present(m).float().mean() / 2
        return draw.frames(batch.key, batch.observed[m].shape[1], m) < share


class Typed(FrameDropout):
    """Gives features in float32, whatever they were."""

    changes_features = True

    def __call__(self, batch, draw):
        return replace(super().__call__(batch, draw), features={m: x.float() for m, x in batch.features.items()})


class Hosted(Reference):
    """Makes its numbers on the CPU."""

    def hidden(self, batch, m, draw):
        drawn = draw.frames(batch.key, batch.observed[m].shape[1], m)
        return drawn < torch.full(batch.observed[m].shape, 0.5)


class Drawing(FrameDropout):
    """Draws from torch's global generator, and does not use it."""

    def __call__(self, batch, draw):
        torch.rand(1)
        return super().__call__(batch, draw)


class Constant(Reference):
    """Says `deterministic`, and is not."""

    deterministic = True

    def hidden(self, batch, m, draw):
        return draw.frames(batch.key, batch.observed[m].shape[1], m) < 0.5


@pytest.mark.parametrize(
    ("component", "label", "message"),
    [
        (Louder, "claims", "features were changed or copied, and `changes_features` does not say so"),
        (Guessing, "claims", "more frames are observed than before"),
        (Revealing, "claims", "a frame that was not observed is observed now"),
        (InPlace, "claims", "the input batch was changed"),
        (Spreading, "hidden", "the features of unobserved frames matter .'features of text'"),
        (ByLength, "hidden", "appending padding frames changes the holes"),
        (Batchwise, "order", "the size of the batch matters .'features of text'"),
        (Positional, "order", "the order of samples matters"),
        (Sampled, "sizes", "batch of none: fails with IndexError"),
        (Positional, "sizes", "a sample alone differs from itself in a batch"),
        (Sharing, "absent", "that other samples are absent changes a sample"),
        (Guessing, "absent", "a sample without any frame gets some of text, audio, vision"),
        (Fresh, "seed", "the same draw hides other frames"),
        (Drawing, "seed", "global random numbers are drawn"),
        (Frozen, "seed", "another epoch hides the same frames, and `deterministic` does not say so"),
        (Constant, "seed", "another epoch hides other frames, and `deterministic` says so"),
        (Typed, "dtypes", "features in float64 become torch.float32"),
        (Hosted, "device", "lt is given tensors on cpu and meta"),
    ],
)
def test_what_is_wrong_is_named(component, label, message, finds):
    config = FrameDropout.Config(rate=0.5) if issubclass(component, FrameDropout) else ComponentConfig()
    finds(maskers.outcomes(lambda: component(config), [3]), label, f"^{component.__name__}.*{message}")


def test_the_first_defect_is_raised():
    with pytest.raises(AssertionError, match=r"^Revealing: 'text': a frame that was not observed"):
        testing.check_masker(Revealing)
