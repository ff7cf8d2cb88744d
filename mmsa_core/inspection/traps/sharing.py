"""Traps of samples that are there twice."""

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.identity import Row
from mmsa_core.inspection.shared import Shared
from mmsa_core.inspection.traps.warning import Level, Warned


def shared_splits(_: Corpus, facts: Facts) -> list[Warned]:
    """Ids, videos or contents that several splits share."""
    if not facts.leakage.shared:
        return []
    renumbered = facts.leakage.renumbered and (one_modality(facts) or not any(p.content for p in facts.leakage.shared))
    counted = "; ".join(
        f"{pair.first} and {pair.second} share {len(pair.ids)} ids" if renumbered else described(pair)
        for pair in facts.leakage.shared
    )
    level: Level = "note" if renumbered else "warning"
    means = (
        "Shared ids name other content in each split, so they are probably counted anew there (as MELD's are); "
        "whether videos are shared cannot be told from them."
        if renumbered
        else "People or clips of one split are met again in the other: what was learned or chosen there looks too good."
    )
    do = (
        "Put the split's name into the ids where the file was made."
        if renumbered
        else "Split again by video or speaker, or take the corpus' standard folds."
    )
    return [Warned("shared-splits", counted, means, do, level)]


def described(pair: Shared) -> str:
    """What two splits share, in words."""
    parts = [
        f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({some(names)})"
        for names, what in ((pair.groups, "video"), (pair.ids, "id"))
        if names
    ]
    parts += [f"{pair.content} rows of the same content"] if pair.content else []
    return f"{pair.first} and {pair.second} share {', '.join(parts)}"


def duplicates(_: Corpus, facts: Facts) -> list[Warned]:
    """Ids or contents that occur twice within one split."""
    found = []
    if ids := facts.copies.ids:
        found.append(
            Warned(
                "repeated-ids",
                f"{len(ids)} ids name several rows of a split ({some([sample for sample, _ in ids])})",
                "Masks and cached teacher outputs go by id: such rows get the same holes.",
                "Give each sample an id of its own where the file was made.",
            )
        )
    inside = [rows for rows in facts.copies.content if len({name for name, _ in rows}) < len(rows)]
    if inside:
        (split, row), copy = first_twice(inside[0])
        alone = one_modality(facts)
        extra = sum(len(rows) - len({name for name, _ in rows}) for rows in inside)
        found.append(
            Warned(
                "duplicates",
                f"{extra} rows repeat the content of another row of their split "
                f"(first: rows {row} and {copy[1]} of {split})",
                "A repeated sample counts twice in training and in every metric."
                + (" With one modality a short sequence can be the same by chance." if alone else ""),
                "Remove the copies, or say that they are kept.",
                "note" if alone else "warning",
            )
        )
    return found


def first_twice(rows: tuple[Row, ...]) -> tuple[Row, Row]:
    """The first two rows of one split."""
    names = [name for name, _ in rows]
    twice = [row for row in rows if names.count(row[0]) > 1]
    return twice[0], next(row for row in twice[1:] if row[0] == twice[0][0])


def one_modality(facts: Facts) -> bool:
    """Whether samples have no second modality that tells them apart."""
    return sum(any(each[m].with_it for each in facts.features.values() if m in each) for m in facts.modalities) < 2


def some(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first names of a list."""
    return ", ".join(f"{name:.40}" for name in names[:most]) + (", ..." if len(names) > most else "")
