"""The report in words: what was compared on what, what can be told apart, and what cannot."""

from collections.abc import Iterator, Sequence

from mmsa_core.comparison import compare_tables
from mmsa_core.comparison.compare import SAME, Comparison, Row
from mmsa_core.comparison.compare_tables import RATES, signed, span
from mmsa_core.report.blocks import Block, Items, Section, Text
from mmsa_core.report.material import Material, Run
from mmsa_core.report.metric_names import named, percent
from mmsa_core.report.sections.comparisons import entries, others, rows_of
from mmsa_core.report.tested import Tested


def section(material: Material) -> Section:
    """Sentences that a reader can quote."""
    blocks: list[Block] = [Text(what(material))]
    told = False
    for tested, found in zip(material.tested, material.comparisons, strict=True):
        if found is not None:
            wanted = [entry for entry in entries(tested) if not (told and entry == tested.complete)]
            told = told or tested.complete is not None
            if wanted:
                blocks.append(Text(f"Against {found.baseline}, protocol {tested.protocol.name}:"))
                blocks.append(Items(tuple(finding(tested, found, entry) for entry in wanted)))
            blocks += [Text(sentence, "finding") for sentence in threshold_effects(tested, found, wanted)]
    known = [found for found in material.comparisons if found is not None]
    cautions = dict.fromkeys(sentence for found in known for sentence in compare_tables.cautions(found))
    blocks += [Text(sentence, "warning") for sentence in cautions]
    if len(material.runs) == 1:
        blocks.append(
            Text("One run has nothing to be compared with; the predictors beside it show what no input gives.")
        )
    return Section("Summary", tuple(blocks))


def what(material: Material) -> str:
    """Runs, seeds, samples and protocols."""
    first = material.tested[0]
    samples = next(iter(first.summaries.values()))["samples"]
    protocols = ", ".join(tested.protocol.name for tested in material.tested)
    kinds = {seeds(run) for run in material.runs}
    each = [run.name if len(kinds) == 1 else f"{run.name} ({seeds(run)})" for run in material.runs]
    common = f", {'each ' * (len(each) > 1)}with {kinds.pop()}" if len(kinds) == 1 else ""
    return (
        f"Run{'s' * (len(each) > 1)}: {', '.join(each)}{common}. "
        f"Evaluated on {samples} samples of the {material.split} split under: {protocols}."
    )


def seeds(run: Run) -> str:
    """How many seeds, and which."""
    count = len(run.numbers)
    return f"{count} seed{'s' * (count > 1)}: {', '.join(map(str, run.numbers))}"


def finding(tested: Tested, found: Comparison, entry: str) -> str:
    """What can be told apart on complete input or in an average, and that the rest cannot."""
    title = _title(tested, entry)
    metrics = [metric for metric in found.metrics if not metric.endswith(RATES)]
    rows = [row for metric in metrics for row in rows_of(found, metric, entry)]
    known = [row for row in rows if row.verdict not in (SAME, "undefined")]
    names = ", ".join(map(named, metrics))
    if not known:
        return f"{title}: no run is distinguishable from {found.baseline} by any of {names}."
    said = "; ".join(map(_sentence, known))
    if len(known) == len(rows):
        return f"{title}: {said}."
    return f"{title}: {said}. All other differences, by {names}, are not distinguishable."


def _sentence(row: Row) -> str:
    scale = 100.0 if percent(row.metric) else 1.0
    unit = " points" if percent(row.metric) else ""
    effect = ", a threshold effect" if row.threshold_effect else ""
    size = f"{signed(row.difference or 0.0, scale)}{unit} {span(row, scale)}"
    return f"{row.run} is {row.verdict} by {named(row.metric)} ({size}{effect})"


def threshold_effects(tested: Tested, found: Comparison, wanted: Sequence[str]) -> Iterator[str]:
    """Where F1 differs and AUC does not, with what that means."""
    rows = [row for row in found.rows if row.threshold_effect and row.condition in {*wanted, *others(tested)}]
    shown = [row for row in rows if row.condition in wanted]
    where = [f"{row.run} on {_title(tested, row.condition)} by {named(row.metric)}" for row in shown]
    if count := len(rows) - len(shown):
        where.append(f"{count} in single conditions, see the comparisons")
    if where:
        yield (
            f"Threshold effects ({'; '.join(where)}): the interval of such a difference leaves zero out, and that of "
            "the AUC does not. Negatives and positives are divided elsewhere, and are not shown to be told apart "
            "better or worse."
        )


def _title(tested: Tested, entry: str) -> str:
    return "complete input" if entry == tested.complete else entry
