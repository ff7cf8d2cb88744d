"""The sections of a report, in the order of the page: functions of the material that give a section, or None."""

from collections.abc import Callable

from mmsa_core.report.blocks import Section
from mmsa_core.report.material import Material
from mmsa_core.report.sections import (
    calibration,
    comparisons,
    conditions,
    confusion,
    curves,
    edges,
    hygiene,
    main_table,
    patterns,
    predictions,
    provenance,
    published,
    recipes,
    summary,
    training,
)

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    summary.section,
    main_table.section,
    conditions.section,
    published.section,
    comparisons.section,
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
