"""The report's part on features: splits, modalities, and what is unusual in them."""

from rich.console import Console
from rich.text import Text

from mmsa_core.inspection import wording
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.tables import put, titled


def splits(out: Console, facts: Facts) -> None:
    grouped = any(count is not None for count in facts.groups.values())
    table = titled("Splits", "split", ["rows", *(["videos"] if grouped else [])])
    for name, rows in facts.rows.items():
        table.add_row(name, str(rows), *([str(facts.groups[name] or "not told")] if grouped else []))
    put(out, table)


def modalities(out: Console, facts: Facts) -> None:
    table = titled("Modalities, and frames of a sequence", "modality", ["width", "type"], left=["split"])
    for heading in ("with it", "missing", "min / median / max"):
        table.add_column(heading, justify="right")
    for modality in facts.modalities:
        first = True
        for name, each in facts.features.items():
            if modality not in each:
                continue
            found = each[modality]
            lengths = found.lengths
            frames = [lengths.shortest, lengths.median, lengths.longest] if lengths else []
            table.add_row(
                *([modality, str(found.width), found.dtype] if first else ["", "", ""]),
                name,
                str(found.with_it),
                f"{100 * (1 - found.with_it / found.rows):.0f} %" if found.rows else "",
                " / ".join(map(wording.number, frames)),
            )
            first = False
    put(out, table)


def closer(out: Console, facts: Facts) -> None:
    """What is unusual in the features; nothing is printed where nothing is."""
    headings = ["NaN", "infinite", "constant columns", "frames of zeros", "hidden between", "padded in front"]
    table = titled("Worth a look", "modality", [], left=["split"])
    for heading in headings:
        table.add_column(heading, justify="right")
    places = []
    for modality in facts.modalities:
        for name, each in facts.features.items():
            if modality not in each:
                continue
            found = each[modality]
            bad = found.nonfinite
            counts = [
                bad.nan,
                bad.count - bad.nan,
                len(found.constant),
                found.zero_frames,
                found.gaps,
                found.late_starts,
            ]
            if any(counts):
                table.add_row(modality, name, *(str(count) if count else "" for count in counts))
            if bad.first:
                where = f"frame {bad.first.frame}, column {bad.first.column}"
                at = f"{modality} of '{bad.first.id}' (row {bad.first.row}, {where})"
                places.append(f"first value that is not finite in {name}: {bad.first.value} in {at}")
    if table.row_count:
        put(out, table)
    for line in places:
        out.print(Text(wording.printable(line)))
