"""The conformance kit: what every component must hold; a plugin runs it in two lines of its own tests.

    @pytest.mark.parametrize("component", testing.components("mmsa-corrkd"), ids=str)
    def test_conforms(component):
        component.check()

One component by itself, with a Config of one's own: `testing.check_distiller(SampleContrastive, Config(eta=1.2))`. A
check raises `AssertionError` that names the component, the case and the defect.
"""

from mmsa_core.testing.datasets import check_dataset
from mmsa_core.testing.distillers import check_distiller
from mmsa_core.testing.encoders import check_encoder
from mmsa_core.testing.fusions import check_fusion
from mmsa_core.testing.kit import LABELS, Outcome
from mmsa_core.testing.maskers import check_masker
from mmsa_core.testing.registered import Registered, components
from mmsa_core.testing.samples import (
    COUNTS,
    MODALITIES,
    TASKS,
    Build,
    batch,
    context,
    encoded,
    leaves,
    outputs,
    padded,
    poisoned,
    rows,
    tokens,
)

__all__ = [
    "COUNTS",
    "LABELS",
    "MODALITIES",
    "TASKS",
    "Build",
    "Outcome",
    "Registered",
    "batch",
    "check_dataset",
    "check_distiller",
    "check_encoder",
    "check_fusion",
    "check_masker",
    "components",
    "context",
    "encoded",
    "leaves",
    "outputs",
    "padded",
    "poisoned",
    "rows",
    "tokens",
]
