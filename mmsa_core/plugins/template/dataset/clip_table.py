"""A table of clips, one row for each, with one feature vector for each modality."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora.corpus import SCORE, Corpus
from mmsa_core.errors import UserError
from mmsa_core.example import Example

SPLITS = ("train", "valid", "test")


class ClipTable(Dataset):
    r"""A CSV file with the columns `id`, `split`, a score, and `MODALITY.0`, `MODALITY.1` ... for each modality.

    A sequence has a single frame, the clip's features x_m; where all cells of a modality are empty, it is missing.

    .. math:: X_m = [x_m] \in \mathbb{R}^{1 \times d_m}
    """

    class Config(DatasetConfig):
        path: Path
        """The CSV file; a relative path starts at the folder where the command runs."""
        score: str = "score"
        """The column of the sentiment score."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        """What the conformance kit reads."""
        return [Example({"path": Path(__file__).with_name("example.csv")})]

    def load(self) -> Corpus:
        path, score = self.config.path, self.config.score
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, restval=""))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read as a CSV table ({error})") from error
        found = list(rows[0]) if rows else []
        if lacking := [name for name in ("id", "split", score) if name not in found]:
            raise UserError(
                f"{path}: no column {', '.join(lacking)}; the first line names {', '.join(found) or 'none'}"
            )
        columns: dict[str, list[str]] = {}
        for name in found:
            modality, dot, _ = name.rpartition(".")
            if dot:
                columns.setdefault(modality, []).append(name)
        return self.from_arrays(
            features={
                m: [frame(path, row, names, line) for line, row in enumerate(rows, start=2)]
                for m, names in columns.items()
            },
            splits=[split(path, row, line) for line, row in enumerate(rows, start=2)],
            targets={SCORE: [number(path, row, score, line) for line, row in enumerate(rows, start=2)]},
            ids=[row["id"] for row in rows],
        )


def split(path: Path, row: dict[str, str], line: int) -> str:
    """The split that a row belongs to."""
    if row["split"] not in SPLITS:
        raise UserError(f"{path}, line {line}: expected split {', '.join(SPLITS)}, found {row['split']!r:.80}")
    return row["split"]


def frame(path: Path, row: dict[str, str], names: list[str], line: int) -> np.ndarray | None:
    """The features of one modality as its only frame [1, channels], or None where every cell is empty."""
    if not any(row[name].strip() for name in names):
        return None
    return np.array([[number(path, row, name, line) for name in names]], dtype=np.float32)


def number(path: Path, row: dict[str, str], name: str, line: int) -> float:
    """The number in one cell."""
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}, line {line}, column '{name}': expected a number, found {row[name]!r:.80}")
    return value
