"""Leakage: ids, videos or speakers, and contents that several splits share."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.inspection.identity import Digests, content_of, digests

SEPARATORS = ("$_$", "[")
"""Between the part of an id that names the video (or speaker, or dialogue) and the part that names the clip: MMSA's
files, and the CMU SDK's."""


RENUMBERED = 0.9
"""A short sentence can be the same by chance."""


@dataclass(frozen=True)
class Shared:
    """What two splits have in common."""

    first: str
    second: str
    ids: tuple[str, ...]
    ids_with_other_content: int
    """Of these ids, how many name samples of another content in each: numbered anew rather than shared."""
    groups: tuple[str, ...]
    """Videos or speakers, as the ids tell them."""
    content: int
    """Rows of `second` whose frames occur, all the same, in `first`."""


@dataclass(frozen=True)
class Leakage:
    """What splits have in common, for each pair that shares something."""

    shared: tuple[Shared, ...]
    grouped: bool
    """Whether ids tell videos; otherwise nothing can be said of them."""

    @property
    def renumbered(self) -> bool:
        """Whether nearly all that is shared are ids that name other content: counted anew in each split, as MELD's."""
        ids = sum(len(pair.ids) for pair in self.shared)
        groups = sum(len(pair.groups) for pair in self.shared)
        told = sum(len({group(sample) for sample in pair.ids} - {None}) for pair in self.shared)
        other = sum(pair.ids_with_other_content for pair in self.shared)
        return ids > 0 and other >= RENUMBERED * ids and told >= RENUMBERED * groups


def group(sample: str) -> str | None:
    """The video or speaker of a sample, where its id tells it."""
    for separator in SEPARATORS:
        before, found, _ = sample.partition(separator)
        if found and before:
            return before
    return None


def leakage(corpus: Corpus, found: Digests | None = None) -> Leakage:
    """Ids, groups and contents that splits of a corpus share; digests that are known need not be made again."""
    known = digests(corpus) if found is None else found
    names = list(corpus.splits)
    contents = {
        name: [content_of(known, (name, row)) for row in range(len(split))] for name, split in corpus.splits.items()
    }
    pairs = []
    for second, other in enumerate(names):
        for name in names[:second]:
            pair = _shared(corpus, name, other, contents)
            if pair.ids or pair.groups or pair.content:
                pairs.append(pair)
    groups = [group(sample) for split in corpus.splits.values() for sample in split.ids]
    return Leakage(tuple(pairs), grouped=bool(groups) and None not in groups)


def _shared(corpus: Corpus, first: str, second: str, contents: Mapping[str, Sequence[Hashable]]) -> Shared:
    ids = _by(corpus, first, str), _by(corpus, second, str)
    groups = _by(corpus, first, group), _by(corpus, second, group)
    both = [sample for sample in ids[0] if sample in ids[1]]
    other = sum(
        not {contents[first][row] for row in ids[0][sample]} & {contents[second][row] for row in ids[1][sample]}
        for sample in both
    )
    seen = {content for content in contents[first] if content}
    return Shared(
        first,
        second,
        ids=tuple(map(str, both)),
        ids_with_other_content=other,
        groups=tuple(str(each) for each in groups[0] if each is not None and each in groups[1]),
        content=sum(content in seen for content in contents[second]),
    )


def _by(corpus: Corpus, name: str, key: Callable[[str], Hashable]) -> dict[Hashable, list[int]]:
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, sample in enumerate(corpus.splits[name].ids):
        rows[key(sample)].append(row)
    return rows
