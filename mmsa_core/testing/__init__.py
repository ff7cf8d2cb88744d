"""The conformance kit: what every component must hold; a plugin runs it in one line of its own tests.

    testing.check_distiller(SampleContrastive, SampleContrastive.Config(margin=1.2))

A check raises `AssertionError` that names the component, the case and the defect.
"""

from mmsa_core.testing.distillers import check_distiller
from mmsa_core.testing.encoders import check_encoder
from mmsa_core.testing.fusions import check_fusion
from mmsa_core.testing.maskers import check_masker
from mmsa_core.testing.samples import (
    COUNTS,
    MODALITIES,
    TASKS,
    Build,
    Encode,
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
    "MODALITIES",
    "TASKS",
    "Build",
    "Encode",
    "batch",
    "check_distiller",
    "check_encoder",
    "check_fusion",
    "check_masker",
    "context",
    "encoded",
    "leaves",
    "outputs",
    "padded",
    "poisoned",
    "rows",
    "tokens",
]
