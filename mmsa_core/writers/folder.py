"""Writes a folder: samples.csv and a .npy for each sample and modality."""

import csv
import io
from pathlib import Path

import numpy as np

from mmsa_core.corpora.corpus import LABELS, Corpus
from mmsa_core.errors import UserError
from mmsa_core.writers import rows


def write(corpus: Corpus, path: Path) -> tuple[str, ...]:
    """The table has a column for each target (of binary labels one for each name) and for each modality."""
    modalities = list(dict.fromkeys(m for split in corpus.splits.values() for m in split.features))
    columns = target_columns(corpus)
    for modality in modalities:
        (path / modality).mkdir(parents=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "split", *columns, *modalities])
    for name, split in corpus.splits.items():
        values = {
            column: split.targets[t] if at is None else split.targets[t][:, at] for column, (t, at) in columns.items()
        }
        listed = {column: _cells(each.numpy()) for column, each in values.items()}
        cells = {m: [""] * len(split) for m in modalities}
        for modality in split.features:
            for row, (x, _) in enumerate(rows.sequences(split, modality)):
                if x is not None:
                    cells[modality][row] = f"{modality}/{name}-{row:05}.npy"
                    np.save(path / cells[modality][row], np.ascontiguousarray(x), allow_pickle=False)
        for row, sample in enumerate(split.ids):
            table.writerow(
                [sample, name, *(each[row] for each in listed.values()), *(cells[m][row] for m in modalities)]
            )
    (path / "samples.csv").write_text(text.getvalue(), encoding="utf-8")
    return rows.holes(corpus)


def target_columns(corpus: Corpus) -> dict[str, tuple[str, int | None]]:
    """Column of the table to target, and its place within the binary labels."""
    (one, first), *others = corpus.splits.items()
    for name, split in others:
        if set(split.targets) != set(first.targets):
            targets = " and ".join(f"'{n}' {', '.join(s.targets) or 'none'}" for n, s in ((one, first), (name, split)))
            raise UserError(
                f"the splits have different targets ({targets}), and a table has its columns for all of them"
            )
    found: dict[str, tuple[str, int | None]] = {name: (name, None) for name in first.targets if name != LABELS}
    if LABELS in first.targets:
        count = first.targets[LABELS].shape[1]
        names = corpus.names.get(LABELS) or tuple(f"label{at}" for at in range(count))
        found |= {name: (LABELS, at) for at, name in enumerate(names)}
    return found


def _cells(values: np.ndarray) -> list[str]:
    """Numbers in the fewest digits that give them back."""
    return [str(value) for value in values]
