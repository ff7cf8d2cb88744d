"""What is wrong with how a module is built, saved or configured is named; the checks are the same for every kind."""

import pytest
import torch
from torch import nn

from mmsa_core import testing
from mmsa_core.components import Distiller, DistillerConfig
from mmsa_core.distillers.feature import FeatureDistillation
from mmsa_core.encoders.pooled import PooledEncoder
from mmsa_core.fusions.concat import Concat
from mmsa_core.testing import encoders, fusions


class Offset(PooledEncoder):
    """Keeps a random tensor that is neither parameter nor buffer."""

    def __init__(self, config, context, modality):
        super().__init__(config, context, modality)
        self.offset = torch.randn(context.dim)

    def forward(self, features, observed):
        out = super().forward(features, observed)
        return type(out)(out.sequence + self.offset * out.observed.unsqueeze(2), out.observed, out.pooled)


class Hosted(PooledEncoder):
    """Makes a buffer on the CPU, whatever the device."""

    def __init__(self, config, context, modality):
        super().__init__(config, context, modality)
        self.register_buffer("table", torch.zeros(context.dim, device="cpu"))


class Foreign(PooledEncoder):
    """Reads the width of the first modality instead of its own."""

    def __init__(self, config, context, modality):
        super().__init__(config, context, next(iter(context.channels)))


class Failing(PooledEncoder):
    """Cannot be built."""

    def __init__(self, config, context, modality):
        raise KeyError(modality)


class Doubled(PooledEncoder):
    """Its Config says another thing each time it is read."""

    class Config(PooledEncoder.Config):
        rate: float = 1.0

        def model_post_init(self, context):
            object.__setattr__(self, "rate", self.rate * 2)


class Stateful(PooledEncoder):
    """Has a state that is no tensor."""

    def get_extra_state(self):
        return {"seen": 3}


@pytest.mark.parametrize(
    ("component", "label", "message"),
    [
        (Offset, "weights", "rebuilt from its saved weights it gives another result"),
        (Offset, "device", "it fails on another device than the CPU: mul is given tensors on cpu and meta"),
        (Hosted, "device", "built for another device than the CPU, table is on the CPU"),
        (Foreign, "finite", "fails with RuntimeError: mat1 and mat2"),
        (Doubled, "yaml", "its Config comes back from YAML with another rate"),
        (Stateful, "weights", "its weights cannot be saved and read: AttributeError"),
    ],
)
def test_what_is_wrong_is_named(component, label, message, finds):
    config = component.Config()
    finds(encoders.outcomes(component, config, dim=8), label, f"^{component.__name__}.*{message}")


def test_what_cannot_be_built_is_named():
    with pytest.raises(AssertionError, match=r"Failing: cannot be built: KeyError: 'text'"):
        testing.check_encoder(Failing)


def test_a_config_that_lacks_a_value_asks_for_an_example():
    class Needs(PooledEncoder):
        class Config(PooledEncoder.Config):
            rate: float

    with pytest.raises(AssertionError, match=r"^Needs: .*rate has no default; override `examples`"):
        testing.check_encoder(Needs)


def test_tied_weights_are_saved(finds):
    class Tied(Concat):
        def __init__(self, config, context):
            super().__init__(config, context)
            self.twin = nn.Linear(1, 1)
            self.twin.weight = self.head.weight

    assert not [each for each in fusions.outcomes(Tied, Tied.Config()) if each.defect]


def test_lazy_modules_conform():
    testing.check_distiller(FeatureDistillation)


def test_what_values_decide_is_not_run_on_meta():
    class Branching(Distiller):
        def forward(self, student, teacher, batch):
            loss = (student.joint - teacher.joint.detach()).square().sum()
            return loss if loss > 0 else 0 * loss

    from mmsa_core.testing import distillers

    (note,) = [o.note for o in distillers.outcomes(Branching, DistillerConfig()) if o.label == "device"]
    assert note == "values decide what it does, so it is not run on the meta device"
