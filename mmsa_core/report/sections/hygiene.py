"""How clean the test is: how often it was looked at, and what splits share."""

from mmsa_core.inspection.shared import Shared
from mmsa_core.report.blocks import Block, Column, Items, Row, Section, Table, Text
from mmsa_core.report.material import Material, Run
from mmsa_core.run_folder import test_log


def section(material: Material) -> Section:
    """Counts of each run, what they mean, and leakage."""
    return Section("The test split", (*evaluations(material), *leakage(material)))


def evaluations(material: Material) -> list[Block]:
    """How often the test split was evaluated, and what that means."""
    blocks: list[Block] = [
        Text(
            "Models and thresholds are picked on validation. Every evaluation of the test split is recorded in the run "
            "folder; answers that are kept there are not asked for again. The more often test results are looked at "
            "before it is decided what to try next, the more they are results of that choice, and the less of new data."
        )
    ]
    if material.split != "test":
        blocks.append(Text(f"The tables of this report are of the {material.split} split."))
    partial = [run.name for run in material.runs if not all(map(_from_the_start, _records(run)))]
    if partial:
        blocks.append(
            Text(
                f"{', '.join(partial)}: the record does not begin with the training, so it was made by an earlier "
                "version or elsewhere; there may have been more evaluations than are counted here.",
                "warning",
            )
        )
    return [*blocks, _table(material)]


def _table(material: Material) -> Table:
    rows: list[Row] = []
    for run in material.runs:
        records = _records(run)
        counts = list(map(len, records))
        what = dict.fromkeys(str(each.get("what", "")) for record in records for each in record)
        number = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        rows.append((run.name, number, ", ".join(what)))
    columns = (
        Column("run", "run", numeric=False),
        Column("evaluations of each seed", "evaluations"),
        Column("by", "by", numeric=False),
    )
    caption = "How many times the test split was evaluated, this report included"
    return Table("test-evaluations", caption, columns, (tuple(rows),))


def _records(run: Run) -> list[list[dict[str, object]]]:
    return [test_log.entries(each.folder) for each in run.seeds]


def _from_the_start(record: list[dict[str, object]]) -> bool:
    return any(each.get("what") == "train" for each in record)


def leakage(material: Material) -> list[Block]:
    """What splits share, as `mmsa data inspect` finds it."""
    found = material.leakage
    if not found.shared:
        videos = "no video or speaker, as the ids tell them" if found.grouped else "the ids tell no videos or speakers"
        return [Text(f"Leakage between splits: they share no id and no content; {videos}.")]
    said = Items(tuple(map(_shared, found.shared)))
    if found.renumbered:
        return [
            Text("Splits share ids, but nearly all of these name other content: they are counted anew in each split."),
            said,
        ]
    return [Text("Splits share samples or speakers, so test results are better than on new ones.", "warning"), said]


def _shared(pair: Shared) -> str:
    parts = [f"{len(pair.ids)} ids"] if pair.ids else []
    parts += [f"{len(pair.groups)} videos or speakers"] if pair.groups else []
    parts += [f"the content of {pair.content} samples"] if pair.content else []
    other = f" ({pair.ids_with_other_content} of these ids name other content)" if pair.ids_with_other_content else ""
    return f"{pair.first} and {pair.second} share {', '.join(parts)}{other}."
