"""The report that a person reads, 80 columns wide: what the file is, what it holds, and what to beware of."""

import sys
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mmsa_core.inspection import wording
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.patterns import shown
from mmsa_core.inspection.traps.warning import Warned

PLAIN_WIDTH = 80


def console() -> Console:
    """As wide as the terminal; what is piped is as wide as a small one."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def show(out: Console, name: str, facts: Facts, warned: Sequence[Warned]) -> None:
    """Print the report of one corpus."""
    head(out, name, facts, warned)
    splits(out, facts)
    modalities(out, facts)
    closer(out, facts)
    missing(out, facts)
    scores(out, facts)
    classes(out, facts)
    probes(out, facts)
    for note in facts.notes:
        if " is missing in " not in note:  # the table of patterns says it
            out.print(Text(f"The reader says: {note}"))
    for each in warned:
        one(out, each)


def head(out: Console, name: str, facts: Facts, warned: Sequence[Warned]) -> None:
    looks = facts.looks
    out.print(Text(f"{name}: {looks.schema}" if looks else name, style="bold"))
    rows = dict(looks.details) if looks else {}
    rows |= {"SHA-256": facts.digest, "fingerprint": facts.fingerprint}
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(Text(key), Text(value))
    out.print(table)
    counts = [sum(each.level == level for each in warned) for level in ("warning", "note")]
    said = [
        f"{count} {what}{'' if count == 1 else 's'}" for count, what in zip(counts, ("warning", "note"), strict=True)
    ]
    out.print(
        Text(f"{said[0]} and {said[1]}{', at the end' if any(counts) else ''}", style="yellow" if counts[0] else "")
    )


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
        out.print(Text(line))


def missing(out: Console, facts: Facts) -> None:
    rows = [
        (shown(pattern), [wording.percent(facts.patterns[n].get(pattern, 0), facts.rows[n]) for n in facts.rows])
        for pattern in wording.all_patterns(facts)
    ]
    by_split(out, "Which modalities samples have", "present", facts, rows)


def scores(out: Console, facts: Facts) -> None:
    targets = facts.targets
    if not targets.scores:
        return
    told = [targets.scores.get(name) for name in facts.rows]
    rows = [
        (label, [wording.percent(s.counts[n], sum(s.counts)) if s and s.counts else "" for s in told])
        for n, label in enumerate(wording.bin_names(targets))
    ]
    rows += [
        ("below / at / above zero", [f"{s.negative} / {s.zero} / {s.positive}" if s else "" for s in told]),
        (
            "lowest, mean, highest",
            [
                f"{wording.number(s.lowest)}, {s.mean:.2f}, {wording.number(s.highest)}"
                if s and s.mean is not None
                else ""
                for s in told
            ],
        ),
    ]
    if any(s and s.nonfinite for s in told):
        rows.append(("NaN or infinite", [str(s.nonfinite) if s else "" for s in told]))
    by_split(out, "Scores", "score", facts, rows)


def classes(out: Console, facts: Facts) -> None:
    targets = facts.targets
    for title, names, counts in (
        ("Classes", targets.names, targets.classes),
        ("Labels that are true", targets.label_names, targets.positives),
    ):
        if counts:
            rows = [
                (label, [wording.percent(counts[s][n], facts.rows[s]) if s in counts else "" for s in facts.rows])
                for n, label in enumerate(names)
            ]
            by_split(out, title, "class" if title == "Classes" else "label", facts, rows)


def probes(out: Console, facts: Facts) -> None:
    if not facts.probes:
        return
    first = next(iter(facts.probes.values()))
    others = list(dict.fromkeys(name for each in facts.probes.values() for name in each.held_out))
    title = f"What one modality alone tells of the {first.target}: correlation (ridge regression)"
    headings = ["train, fitted", f"train, held-out {'videos' if first.by_video else 'rows'}", *others]
    table = titled(title, "modality", headings)
    for modality, each in facts.probes.items():
        values = [each.in_sample, each.cross_validated, *(each.held_out.get(n, (0, None))[1] for n in others)]
        table.add_row(
            modality, *("" if value is None else f"{value + 0.0:.2f}".replace("-0.00", "0.00") for value in values)
        )
    put(out, table)


def one(out: Console, warned: Warned) -> None:
    """A warning: what was found, then what it means and what to do, set in."""
    out.print()
    style = "yellow" if warned.level == "warning" else "bold"
    out.print(Text.assemble((f"{warned.level} {warned.trap}: ", style), warned.found))
    out.print(Padding(Text(f"{warned.means}\nWhat to do: {warned.do}"), (0, 0, 0, 4)))


def by_split(out: Console, title: str, corner: str, facts: Facts, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    table = titled(title, corner, list(facts.rows))
    for label, cells in rows:
        table.add_row(Text(label), *cells)
    put(out, table)


def put(out: Console, table: Table) -> None:
    """A table under its title, which may be wider."""
    out.print()
    out.print(Text(str(table.title), style="bold"))
    table.title = None
    out.print(table)


def titled(title: str, corner: str, headings: Sequence[str], left: Sequence[str] = ()) -> Table:
    table = Table(
        title=title,
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
    )
    table.add_column(corner)
    for heading in headings:
        table.add_column(Text(heading), justify="right")
    for heading in left:
        table.add_column(Text(heading))
    return table
