"""Numbers that papers print, with their source, and what keeps them from being compared with one's own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mmsa_core.closed import Closed
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.recipes import recipe_yaml
from mmsa_core.types import Modality

FILE = "published_results.yaml"
MARK = "published"
"""What every such number bears wherever it is shown."""


class Paper(Closed):
    """Where a method comes from."""

    authors: str
    title: str
    venue: str
    year: Annotated[int, Field(ge=1990)]

    @property
    def citation(self) -> str:
        """Authors, title, venue and year in one line."""
        return f"{self.authors}, {self.title}, {self.venue} {self.year}"


class Table(Closed):
    """Rows of one data set and one metric."""

    name: str
    data: str
    splits: dict[str, PositiveInt]
    """Samples of each split."""
    protocol: str
    metric: str
    about: str
    """The metric in words."""
    of: str | None = None
    """The method that all rows are variants of."""
    columns: tuple[str, ...]
    """Conditions and averages of the protocol."""
    rows: dict[str, tuple[PositiveFloat, ...]]
    """Method to percent."""

    @model_validator(mode="after")
    def _rectangular(self) -> "Table":
        for method, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(f"table {self.name}: {method} has {len(values)} values, columns {len(self.columns)}")
        return self


class File(Closed):
    """The whole file."""

    printed_in: tuple[str, ...]
    """The methods whose papers print all numbers."""
    seeds: PositiveInt
    features: dict[Modality, PositiveInt]
    """Width of each modality's features."""
    papers: dict[str, Paper]
    tables: tuple[Table, ...]

    @model_validator(mode="after")
    def _cited(self) -> "File":
        named = {table.of or method for table in self.tables for method in table.rows} | {*self.printed_in}
        if uncited := named - self.papers.keys():
            raise ValueError(f"no paper is given for {', '.join(sorted(uncited))}")
        return self


@dataclass(frozen=True)
class Published:
    """One row: a method's numbers on one data set, as a share of 1, by condition or average."""

    table: str
    """Rows of one table are compared with each other."""
    method: str
    citation: str
    printed_in: str
    data: str
    splits: Mapping[str, int]
    features: Mapping[Modality, int]
    protocol: str
    metric: str
    about: str
    seeds: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Own:
    """What one's own run was measured on, to hold a published row against."""

    splits: Mapping[str, int]
    features: Mapping[Modality, int]
    protocol: str
    metric: str
    seeds: int


def own(evaluated: Evaluated, metric: str) -> Own:
    """What is known of a run's data and protocol."""
    sizes = {"train": len(evaluated.train_target), evaluated.split_name: len(evaluated.split)}
    widths = {modality: evaluated.split.features[modality].channels for modality in evaluated.modalities}
    return Own(sizes, widths, evaluated.protocol.name, metric, len(evaluated.scores))


@cache
def rows() -> tuple[Published, ...]:
    """Every published row that ships with mmsa."""
    text = (files("mmsa_core.evaluation") / FILE).read_text(encoding="utf-8")
    written, _ = recipe_yaml.read(text, FILE)
    file = File.model_validate(written)
    sources = ", ".join(f"{file.papers[name].venue} {file.papers[name].year}, {name}" for name in file.printed_in)
    return tuple(
        Published(
            table=table.name,
            method=method,
            citation=file.papers[table.of or method].citation,
            printed_in=f"as printed in the papers of {' and '.join(file.printed_in)} ({sources})",
            data=table.data,
            splits=table.splits,
            features=file.features,
            protocol=table.protocol,
            metric=table.metric,
            about=table.about,
            seeds=file.seeds,
            values={column: value / 100 for column, value in zip(table.columns, values, strict=True)},
        )
        for table in file.tables
        for method, values in table.rows.items()
    )


def beside(protocol: str, metrics: Collection[str]) -> tuple[Published, ...]:
    """The rows of a protocol and of metrics that a run has."""
    return tuple(row for row in rows() if row.protocol == protocol and row.metric in metrics)


def differences(row: Published, own: Own) -> list[str]:
    """Sentences on what is not the same; a published row is never shown without them.

    That sizes agree does not show that the data are the same, so one sentence always stands: nothing in a file says
    which corpus it is.
    """
    found = [f"their data: {row.data}; nothing in a file proves which corpus yours is"]
    for split, size in row.splits.items():
        if split in own.splits and own.splits[split] != size:
            found.append(f"{split} split: theirs {size} samples, yours {own.splits[split]}")
    for modality in dict.fromkeys((*row.features, *own.features)):
        theirs, yours = row.features.get(modality), own.features.get(modality)
        if theirs != yours:
            found.append(f"features of {modality}: theirs {_wide(theirs)}, yours {_wide(yours)}")
    if row.metric != own.metric:
        found.append(f"metric: theirs {row.metric} ({row.about}), yours {own.metric}")
    if row.protocol != own.protocol:
        found.append(f"protocol: theirs {row.protocol}, yours {own.protocol}")
    if row.seeds != own.seeds:
        found.append(f"theirs is the mean of {row.seeds} seeds, yours of {own.seeds}")
    return found


def _wide(width: int | None) -> str:
    return "none" if width is None else f"{width} wide"
