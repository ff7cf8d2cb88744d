"""The main table: every run on complete input and in each average, beside predictors that look at nothing."""

from collections.abc import Iterator

from mmsa_core.report.blocks import Column, Row, Section, Table
from mmsa_core.report.material import Material
from mmsa_core.report.metric_names import heading
from mmsa_core.report.spread import metric, plain
from mmsa_core.report.tested import Tested, headline


def section(material: Material) -> Section:
    """One table; its groups of rows are the complete input and the averages."""
    first = material.tested[0]
    metrics = headline(first.first, first.values(material.runs[0].name, first.entries[0]))
    chosen = list(rows_of(material))
    groups = tuple(_group(tested, entry, title, metrics) for tested, entry, title in chosen)
    columns = (
        Column("run", "run", numeric=False),
        Column("input", "input", numeric=False),
        *(Column(heading(name), name) for name in metrics),
    )
    notes = [note for tested, entry, _ in chosen for note in averaged(tested, entry)]
    caption = f"Main results, {material.split} split ({_samples(first)} samples), {material.spread}"
    note = "Under the runs, predictors that know the training targets and look at no sample. undef.: undefined."
    return Section("Main table", (Table("main", caption, columns, groups, (note, *notes)),))


def rows_of(material: Material) -> Iterator[tuple[Tested, str, str]]:
    """Protocol, condition or average, and title of each group of rows; the complete input once."""
    whole = next((tested for tested in material.tested if tested.complete is not None), None)
    if whole is not None and whole.complete is not None:
        yield whole, whole.complete, "complete"
    for tested in material.tested:
        for name in tested.protocol.averages:
            yield tested, name, f"{name} ({tested.protocol.name})"
        if not tested.protocol.averages:
            for name in tested.entries:
                if name != tested.complete:
                    yield tested, name, f"{name} ({tested.protocol.name})"


def averaged(tested: Tested, entry: str) -> list[str]:
    """What an average is over, in a sentence."""
    found = tested.protocol.averages.get(entry)
    if found is None:
        return []
    how = "mean over" if found.how == "mean" else "area under the curve, per unit of rate, over"
    return [f"{entry} ({tested.protocol.name}): {how} {', '.join(found.over)}."]


def _group(tested: Tested, entry: str, title: str, metrics: list[str]) -> tuple[Row, ...]:
    rows: list[Row] = []
    for run in tested.found:
        found = tested.values(run, entry)
        rows.append((run, title, *(metric(name, found.get(name)) for name in metrics)))
    for predictor, values in tested.references[entry].items():
        rows.append((predictor, title, *(plain(name, values) for name in metrics)))
    return tuple(rows)


def _samples(tested: Tested) -> int:
    samples: int = next(iter(tested.summaries.values()))["samples"]
    return samples
