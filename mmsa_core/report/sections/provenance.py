"""Where the numbers come from: commands, versions, data, source, device."""

import json
from typing import Any

from mmsa_core.report.blocks import Block, Column, Row, Section, Table, Text
from mmsa_core.report.material import Material, Run

FACTS = {
    "command": "command",
    "recipe": "recipe",
    "data_sha256": "data, SHA-256",
    "data_converted_from_sha256": "data converted from, SHA-256",
    "splits": "samples",
    "commit": "source, commit",
    "uncommitted_changes": "source differs from the commit",
    "device": "device",
    "threads": "threads",
    "platform": "platform",
    "versions": "versions",
    "teachers": "teachers, with SHA-256",
    "initialised_from": "initialised from, with SHA-256",
}
"""Keys of `provenance.json`, and what they are called."""


def section(material: Material) -> Section:
    """A table of the facts, one of what all runs share, and warnings where they do not fit."""
    together, apart = facts(material)
    blocks: list[Block] = [Text(text, "warning") for text in warnings(material)]
    if together:
        caption = "What all runs share" if len(material.runs) > 1 else f"Where {material.runs[0].name} comes from"
        shared = (Column("fact", "fact", numeric=False), Column("all runs", "value", numeric=False))
        blocks.append(Table("provenance-shared", caption, shared, (tuple(together),)))
    if apart:
        columns = (
            Column("fact", "fact", numeric=False),
            *(Column(r.name, r.name, numeric=False) for r in material.runs),
        )
        blocks.append(Table("provenance", "What differs between runs", columns, (tuple(apart),)))
    return Section("Provenance", tuple(blocks))


def facts(material: Material) -> tuple[list[Row], list[Row]]:
    """Rows of what is the same in all runs, and of what is not."""
    runs = material.runs
    together: list[Row] = []
    apart: list[Row] = [("folder", *(str(run.folder) for run in runs)), ("seeds", *map(_seeds, runs))]
    if len(runs) == 1:
        together, apart = apart, []
    for key, title in FACTS.items():
        values = [_fact(run, key) for run in runs]
        if not any(values):
            continue
        if len(set(values)) == 1:
            together.append((title, values[0]))
        else:
            apart.append((title, *values))
    return together, apart


def warnings(material: Material) -> list[str]:
    """What makes numbers hard to repeat, or to compare."""
    found = []
    for run in material.runs:
        if any(each.provenance.get("uncommitted_changes") for each in run.seeds):
            found.append(
                f"{run.name} was trained from a source with uncommitted changes: its commit does not say everything."
            )
    for key, what in (("data_sha256", "data"), ("commit", "commits of the source"), ("device", "devices")):
        if len({_fact(run, key) for run in material.runs}) > 1:
            found.append(f"The runs were trained on different {what}.")
    return found


def _seeds(run: Run) -> str:
    return ", ".join(map(str, run.numbers))


def _fact(run: Run, key: str) -> str:
    """The fact of every seed, each value once."""
    return "; ".join(dict.fromkeys(_text(each.provenance.get(key)) for each in run.seeds))


def _text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return value if isinstance(value, str) else json.dumps(value)
