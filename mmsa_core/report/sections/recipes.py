"""How the runs' recipes differ, field by field."""

from collections.abc import Mapping
from typing import Any

import yaml

from mmsa_core.report.blocks import Column, Row, Section, Table, Text
from mmsa_core.report.material import Material, Run

SKIPPED = ("name", "seeds", "track", "log")
"""The runs' names and seeds stand elsewhere; where a run is logged changes no number."""


def section(material: Material) -> Section:
    """A row for each field in which any two runs differ; what all have in common is left out."""
    rows = differences({run.name: fields(run) for run in material.runs})
    if len(material.runs) == 1:
        return Section(
            "Recipes", (Text(f"One run, {material.runs[0].name}: there is nothing to compare its recipe with."),)
        )
    if not rows:
        return Section("Recipes", (Text("The recipes are the same in every field that can change a number."),))
    columns = (
        Column("field", "field", numeric=False),
        *(Column(run.name, run.name, numeric=False) for run in material.runs),
    )
    table = Table(
        "recipe-differences",
        "Fields of the recipes that differ between the runs",
        columns,
        (tuple(rows),),
        ("A dash says that a run's recipe has no such field.",),
    )
    return Section("Recipe differences", (table,))


def fields(run: Run) -> dict[str, str]:
    """Every field of the filled recipe by its dotted key, as YAML on one line."""
    whole = run.recipe.model_dump(mode="json")
    return dict(_flat({key: value for key, value in whole.items() if key not in SKIPPED}, ""))


def differences(found: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """Rows of the fields that are not the same in all runs."""
    keys = dict.fromkeys(key for each in found.values() for key in each)
    rows: list[Row] = []
    for key in keys:
        values = [each.get(key) for each in found.values()]
        if len(set(values)) > 1:
            rows.append((key, *("–" if value is None else value for value in values)))
    return rows


def _flat(node: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    leaves = []
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            leaves += _flat(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", _line(value)))
    return leaves


def _line(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n...\n").strip()
