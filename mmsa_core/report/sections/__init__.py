"""The sections of a report, in the order of the page: functions of the material that give a section, or None."""

from collections.abc import Callable

from mmsa_core.report.blocks import Section
from mmsa_core.report.material import Material
from mmsa_core.report.sections import (
    calibration,
    conditions,
    confusion,
    curves,
    edges,
    hygiene,
    main_table,
    patterns,
    predictions,
    provenance,
    recipes,
    training,
)

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    main_table.section,
    conditions.section,
    curves.section,
    confusion.section,
    predictions.section,
    calibration.section,
    patterns.section,
    edges.section,
    training.section,
    recipes.section,
    hygiene.section,
    provenance.section,
)
