"""The report's part on samples: what they lack, their labels, and what one modality tells of these."""

from rich.console import Console

from mmsa_core.inspection import wording
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.patterns import shown
from mmsa_core.inspection.tables import by_split, put, titled


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
