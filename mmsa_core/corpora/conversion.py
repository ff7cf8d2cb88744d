"""What `mmsa data convert` does: any file that a reader reads, in our format."""

from collections.abc import Sequence
from pathlib import Path

from mmsa_core.corpora import opening
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.corpora.opening import Choice
from mmsa_core.datasets import stored, storing
from mmsa_core.datasets.layout import Source
from mmsa_core.errors import UserError

OURS = "safetensors"


def convert(file: Path, folder: Path, reader: str | None, overrides: Sequence[str]) -> tuple[Choice, Corpus]:
    """Read a file and write it as a new folder; how it was read, and the corpus as it is read back.

    Raises:
        UserError: for bad data, a reader that cannot be told, or a folder that exists.
    """
    storing.check_new(folder)
    choice = opening.choose(file, reader, overrides)
    corpus = choice.load()
    if choice.config.name == OURS:
        raise UserError(f"{file}: is in our format already; copy the folder, or convert what it was made from")
    source = Source(file=file.name, reader=choice.config.name, settings=choice.own, sha256=corpus.digest)
    storing.write(corpus, folder, source)
    return choice, stored.StoredCorpus(stored.StoredCorpus.Config(name=OURS, path=folder)).load()


def summary(choice: Choice, corpus: Corpus) -> list[str]:
    """What was read and how, in lines: reader, splits, modalities, targets, notes, digest."""
    lines = [f"reader: {choice.why}"]
    for name, split in corpus.splits.items():
        lines.append(f"{name}: {len(split)} rows; targets: {', '.join(split.targets) or 'none'}")
        for modality, x in split.features.items():
            rows, kind = int(x.present().sum()), str(x.values.dtype).removeprefix("torch.")
            frames = f"{int(x.lengths.sum())} frames, longest {x.longest}"
            lines.append(f"  {modality}: {x.channels} wide, {kind}, in {rows} rows, {frames}")
    return [*lines, *(f"note: {note}" for note in corpus.notes), f"SHA-256: {corpus.digest}"]
