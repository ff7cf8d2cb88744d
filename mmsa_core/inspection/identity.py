"""What a sample is, whatever file it comes from: digests of content, duplicates, and the corpus' fingerprint."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.inspection.blocks import Array, blocks, width
from mmsa_core.types import Modality

Row = tuple[str, int]
"""Split and row number."""
Digests = Mapping[str, Mapping[Modality, tuple[bytes, ...]]]
"""By split and modality: the digest of each row's sequence, empty bytes where it has no frame."""


@dataclass(frozen=True)
class Copies:
    """Samples that occur more than once."""

    ids: tuple[tuple[str, tuple[Row, ...]], ...]
    """Ids that several rows of one split share."""
    content: tuple[tuple[Row, ...], ...]
    """Groups of rows with the same frames in every modality, of all splits."""


def digests(corpus: Corpus) -> Digests:
    """The digest of every sequence; padding and what hidden frames hold have no part in it."""
    return {name: {m: tuple(_sequences(split, m)) for m in split.features} for name, split in corpus.splits.items()}


def _sequences(split: Split, modality: Modality) -> Iterator[bytes]:
    for block in blocks(split, modality):
        for x, seen in zip(block.features, block.observed, strict=True):
            if not seen.any():
                yield b""
                continue
            used = np.trim_zeros(seen, "b")
            frames = x[: len(used)][used]
            yield sha256(np.packbits(used).tobytes() + _plain(frames, "<f4")).digest()


def fingerprint(corpus: Corpus, found: Digests) -> str:
    """SHA-256 of ids, features, observed and targets, of splits, rows and names in a fixed order.

    Two files of different formats that hold the same samples in the same order have the same one; a modality that no
    sample has has no part in it, since not every format can name it or tell its width.
    """
    total = sha256(b"mmsa-fingerprint-1")
    there = {m for each in found.values() for m, rows in each.items() if any(rows)}
    for name, split in sorted(corpus.splits.items()):
        total.update(_text(name) + _number(len(split)))
        for sample in split.ids:
            total.update(_text(sample))
        for modality in sorted(there & set(split.features)):
            total.update(_text(modality) + _number(width(split, modality)))
            for digest in found[name][modality]:
                total.update(digest or bytes(32))
        for target in sorted(split.targets):
            values = split.targets[target].cpu().numpy()
            kind = "<f4" if values.dtype.kind == "f" else "<i8"
            total.update(_text(target) + _text(str(values.shape)) + _plain(values, kind))
    return total.hexdigest()


def copies(corpus: Corpus, found: Digests) -> Copies:
    """Repeated ids within a split, and repeated content anywhere; rows with nothing are no copies of each other."""
    ids: list[tuple[str, tuple[Row, ...]]] = []
    contents: dict[tuple[tuple[Modality, bytes], ...], list[Row]] = defaultdict(list)
    for name, split in corpus.splits.items():
        rows: dict[str, list[Row]] = defaultdict(list)
        for row, sample in enumerate(split.ids):
            rows[sample].append((name, row))
            content = content_of(found, (name, row))
            if content:
                contents[content].append((name, row))
        ids += [(sample, tuple(places)) for sample, places in rows.items() if len(places) > 1]
    return Copies(tuple(ids), tuple(tuple(places) for places in contents.values() if len(places) > 1))


def content_of(found: Digests, row: Row) -> tuple[tuple[Modality, bytes], ...]:
    """What a row holds, as digests of the modalities that it has."""
    split, number = row
    return tuple((m, each[number]) for m, each in sorted(found[split].items()) if each[number])


def _plain(values: Array, kind: str) -> bytes:
    return np.ascontiguousarray(values, dtype=kind).tobytes()


def _text(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return _number(len(content)) + content


def _number(number: int) -> bytes:
    return number.to_bytes(8, "little")
