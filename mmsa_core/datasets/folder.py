"""One's own corpus: a folder with a table of samples and their feature files."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus
from mmsa_core.datasets import feature_file, inside, keyed, labels, table
from mmsa_core.datasets.labels import TargetName
from mmsa_core.datasets.parts import Array, Part, joined
from mmsa_core.datasets.table import Table
from mmsa_core.errors import UserError
from mmsa_core.example import Example


class FolderConfig(DatasetConfig):
    path: Path
    """The folder; a relative path starts at the folder where the command runs."""
    table: str = "samples.csv"
    """The table in it, .csv or .parquet (extra `[parquet]`): one row for each sample."""
    id: str = "id"
    """Column of the sample's name."""
    split: str = "split"
    """Column of the sample's split: train, valid or test ('dev' is read as valid)."""
    modalities: Annotated[dict[str, str], Field(min_length=1)] = Field(
        {"text": "text", "audio": "audio", "vision": "vision"}
    )
    """Our name of each modality, in the order wanted, and where its features are: a column of paths to .npy or .npz
    files, relative to the folder, or one .safetensors file whose keys are the ids."""
    labels: dict[TargetName, str] | None = None
    """Targets and their columns, such as {score: sentiment, score/text: sentiment of the text alone}. null reads the
    columns `score` and `label` where the table has them."""
    classes: tuple[str, ...] | None = None
    """Names of the classes 0, 1, ... where the cells of `label` hold names instead of numbers."""
    binary: dict[str, str] = Field(default_factory=dict)
    """Names of binary labels, in the order wanted, and their columns of 0 and 1."""
    absent: Literal["refuse", "missing"] = "refuse"
    """A modality or a label that the table or the folder has not at all: refuse it, or count it as missing everywhere,
    and without a column of splits all samples as 'test' (`mmsa predict` does)."""


class Folder(Dataset):
    """Reads a folder with a table: id, split, labels and a feature file for each modality.

    An empty cell, or an id that a .safetensors file has not, is a missing modality. A feature file holds numbers
    [frames, channels]; every frame is read as it is. Paths that lead out of the folder are refused.
    """

    Config = FolderConfig

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.written import written

        return [Example({"path": written("folder", folder)})]

    def load(self) -> Corpus:
        config = self.config
        root = inside.folder(config.path, f"a table '{config.table}'")
        path = inside.file(root, config.table, "data.table")
        content = path.read_bytes()
        digest = sha256(content)
        found = table.read(path, content)
        ids = found.column(config.id, "data.id")
        if "" in ids:
            raise UserError(f"{found.place(ids.index(''), config.id)}: empty; give the sample a name")
        read = {m: self._modality(root, found, source, ids, digest) for m, source in config.modalities.items()}
        new = config.absent == "missing" and config.split not in found.columns
        named = ["test"] * len(ids) if new else found.column(config.split, "data.split")
        splits = ["valid" if name == "dev" else name for name in named]
        if "" in splits:
            raise UserError(f"{found.place(splits.index(''), config.split)}: empty; name the sample's split")
        parts = {}
        for name in dict.fromkeys(splits):
            rows = [row for row, split in enumerate(splits) if split == name]
            chosen = {m: [listed[row] for row in rows] for m, listed in read.items()}
            parts[name] = Part([ids[row] for row in rows], chosen, self._targets(found, rows))
        names = {LABEL: config.classes, LABELS: tuple(config.binary)}
        there = {name: called for name, called in names.items() if called}
        return joined(parts, tuple(config.modalities), str(config.path), digest.hexdigest(), names=there)

    def _modality(self, root: Path, found: Table, source: str, ids: list[str], digest: Any) -> list[Array | None]:
        """The features of every sample of the table, None where there are none."""
        config = self.config
        there = (root / source).exists() if source.endswith(".safetensors") else source in found.columns
        if not there and config.absent == "missing":
            return [None] * len(ids)
        if source.endswith(".safetensors"):
            return keyed.read(inside.file(root, source, "data.modalities"), ids, digest)
        cells = found.column(source, "data.modalities")
        return [self._sample(root, found, source, row, digest) if cell else None for row, cell in enumerate(cells)]

    def _sample(self, root: Path, found: Table, column: str, row: int, digest: Any) -> Array:
        place, name = found.place(row, column), found.columns[column][row]
        if not name.endswith((".npy", ".npz")):
            raise UserError(f"{place}: expected the path of a .npy or .npz file, found {name!r:.200}")
        path = inside.file(root, name, place)
        content = path.read_bytes()
        digest.update(sha256(content).digest())
        try:
            return feature_file.read(content, path, column)
        except UserError as error:
            raise UserError(f"{place}: {path}: {error}") from error

    def _targets(self, found: Table, rows: list[int]) -> dict[str, Tensor]:
        config, where = self.config, str(found.path)
        chosen: Mapping[str, str] = config.labels or {}
        if config.labels is None:
            chosen = {name: name for name in (SCORE, LABEL) if name in found.columns}
        binary: Mapping[str, str] = config.binary
        if config.absent == "missing":  # what is to be predicted has no labels, or empty cells
            chosen = {name: column for name, column in chosen.items() if _filled(found, column, rows)}
            binary = binary if all(_filled(found, column, rows) for column in binary.values()) else {}
        made = {}
        for name, column in chosen.items():
            kind = labels.kind(name)
            named = kind == LABEL and config.classes is not None
            values = self._classes(found, column, rows) if named else found.numbers(column, "data.labels", rows, kind)
            made[name] = labels.target(name, values, f"{where}, column '{column}'")
        answers = {name: found.numbers(column, "data.binary", rows, LABELS) for name, column in binary.items()}
        return made | labels.binary(answers, where)

    def _classes(self, found: Table, column: str, rows: list[int]) -> Array:
        """The numbers of classes that cells name."""
        cells, known = found.column(column, "data.labels"), list(self.config.classes)
        for row in rows:
            if cells[row] not in known:
                raise UserError(
                    f"{found.place(row, column)}: class {cells[row]!r:.80}, which data.classes does not name; it names "
                    f"{', '.join(known)}"
                )
        return np.array([known.index(cells[row]) for row in rows], dtype=np.int64)


def _filled(found: Table, column: str, rows: list[int]) -> bool:
    """Whether a table has a column without empty cells."""
    return column in found.columns and all(found.columns[column][row] for row in rows)
