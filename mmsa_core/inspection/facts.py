"""Everything that is known of a corpus, in one place: what warnings, reports and pictures are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets.recognition import Looks
from mmsa_core.inspection.features import Features, features
from mmsa_core.inspection.identity import Copies, copies, digests, fingerprint
from mmsa_core.inspection.labels import Targets, targets
from mmsa_core.inspection.patterns import Pattern, modalities, patterns
from mmsa_core.inspection.probe import Probe, probe
from mmsa_core.inspection.shared import Leakage, group, leakage
from mmsa_core.types import Modality


@dataclass(frozen=True)
class Facts:
    """What a corpus holds."""

    looks: Looks | None
    digest: str
    """SHA-256 of the file, or of what the data set calls its content."""
    fingerprint: str
    """Of the content, whatever file it comes from."""
    rows: Mapping[str, int]
    groups: Mapping[str, int | None]
    """Videos or speakers of each split; None where ids do not tell them."""
    modalities: tuple[Modality, ...]
    features: Mapping[str, Mapping[Modality, Features]]
    """By split and modality."""
    targets: Targets
    patterns: Mapping[str, Mapping[Pattern, int]]
    copies: Copies
    leakage: Leakage
    probes: Mapping[Modality, Probe]
    """Where there is enough to probe."""
    notes: tuple[str, ...]
    """What the reader said."""


def facts(corpus: Corpus, looks: Looks | None = None, watch: Callable[[str], None] = lambda _: None) -> Facts:
    """Look at everything; `watch` hears what is looked at, for those who wait."""
    names = modalities(corpus)
    found = {}
    for name, split in corpus.splits.items():
        watch(f"features of {name}")
        found[name] = {m: features(split, m) for m in split.features}
    watch("duplicates and leakage")
    content = digests(corpus)
    probes = {}
    for modality in names:
        watch(f"whether {modality} gives labels away")
        if (answer := probe(corpus, modality)) is not None:
            probes[modality] = answer
    return Facts(
        looks=looks,
        digest=corpus.digest,
        fingerprint=fingerprint(corpus, content),
        rows={name: len(split) for name, split in corpus.splits.items()},
        groups={name: _groups(split.ids) for name, split in corpus.splits.items()},
        modalities=names,
        features=found,
        targets=targets(corpus),
        patterns={name: patterns(split) for name, split in corpus.splits.items()},
        copies=copies(corpus, content),
        leakage=leakage(corpus, content),
        probes=probes,
        notes=corpus.notes,
    )


def _groups(ids: tuple[str, ...]) -> int | None:
    found = {group(sample) for sample in ids}
    return None if None in found or not found else len(found)
