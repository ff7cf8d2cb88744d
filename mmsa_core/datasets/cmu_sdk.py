"""Computational sequences of the CMU Multimodal SDK (.csd): MOSI, MOSEI, POM as the SDK distributes them."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt
from torch import Tensor

from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora.corpus import LABELS, Corpus
from mmsa_core.datasets import alignment, csd, folds, inside, labels
from mmsa_core.datasets.csd import Frames
from mmsa_core.datasets.labels import TargetName
from mmsa_core.datasets.parts import Array, Part, joined
from mmsa_core.datasets.segments import Aligned, Segment, by_video, of_labels, of_videos
from mmsa_core.errors import UserError
from mmsa_core.example import Example, Untried
from mmsa_core.types import Modality


class CmuSdkConfig(DatasetConfig):
    path: Path
    """The folder with the .csd files; a relative path starts at the folder where the command runs."""
    sequences: Annotated[dict[str, str], Field(min_length=1)] = Field(
        {"text": "text.csd", "audio": "audio.csd", "vision": "vision.csd"}
    )
    """Our name of each modality, in the order wanted, and its file in the folder."""
    labels: str | None = "labels.csd"
    """The file whose intervals are the samples and whose features are their labels; null: a video is a sample."""
    targets: dict[TargetName, NonNegativeInt] = Field({"score": 0})
    """Targets and their columns in the labels, counted from 0."""
    binary: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """Names of binary labels, in the order wanted, and their columns in the labels; above 0 is yes (the emotions of
    MOSEI)."""
    pivot: str | None = None
    """The modality to whose frames the others are aligned; null: each keeps its own frames."""
    collapse: alignment.Collapse = "mean"
    """What becomes of the frames that overlap one frame of the pivot."""
    folds: str | None = "folds.json"
    """The file in the folder that says which video is in which split (.json or .csv); null: all are 'test'."""
    incomplete: Literal["keep", "drop"] = "keep"
    """A sample in which a modality has no frame: keep it, with that modality missing, or leave it out, as the SDK
    does."""
    absent: Literal["refuse", "missing"] = "refuse"
    """A file that is not in the folder: refuse, or count its modality as missing everywhere (`mmsa predict` does)."""


class CmuSdk(Dataset):
    """Reads the SDK's computational sequences; samples are the intervals of the labels, VIDEO[0], VIDEO[1] ...

    A frame belongs to a sample if they overlap by more than 10e-6 seconds (a frame over a border belongs to both).
    With a pivot, as the SDK's `align`: the frames of the other sequences that overlap a frame of the pivot are
    collapsed to one; where there are none that frame is not observed (the SDK's users write zeros there). Then the
    aligned frames go with their pivot frame into its sample.
    """

    Config = CmuSdkConfig

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.written import written

        if find_spec("h5py") is None:
            raise Untried("needs h5py: pip install 'mmsa-core[csd]'")
        return [Example({"path": written("cmu-sdk", folder)})]

    def load(self) -> Corpus:
        config = self.config
        if config.pivot is not None and config.pivot not in config.sequences:
            raise UserError(f"data.pivot: '{config.pivot}' is none of data.sequences: {', '.join(config.sequences)}")
        root = inside.folder(config.path, "the .csd files")
        splits, digest = self._folds(root), sha256()
        segments: list[Segment] = []
        if (path := self._file(root, config.labels, "data.labels")) is not None:
            found, content = csd.read(path)
            digest.update(content.encode())
            segments = list(of_labels(found))
        wanted = {segment.video for segment in segments} if segments else None
        read: dict[Modality, dict[str, Frames]] = {}
        for modality, name in config.sequences.items():
            path = self._file(root, name, f"data.sequences.{modality}")
            found, content = csd.read(path, wanted) if path is not None else ({}, "")
            digest.update(content.encode())
            read[modality] = by_video(found, f"{path}")
        if not segments:
            segments = list(of_videos(read))
        digest.update(repr(sorted((splits or {}).items())).encode())
        return self._corpus(segments, read, splits, digest.hexdigest())

    def _file(self, root: Path, name: str | None, key: str) -> Path | None:
        if name is None or (self.config.absent == "missing" and not (root / name).exists()):
            return None
        return inside.file(root, name, key)

    def _folds(self, root: Path) -> dict[str, str] | None:
        path = self._file(root, self.config.folds, "data.folds")
        return None if path is None else folds.read(path, path.read_bytes())

    def _corpus(
        self,
        segments: list[Segment],
        read: Mapping[Modality, Mapping[str, Frames]],
        splits: dict[str, str] | None,
        digest: str,
    ) -> Corpus:
        config, notes = self.config, []
        aligned = Aligned(read, config.pivot, config.collapse)
        members: dict[str, list[Segment]] = {name: [] for name in dict.fromkeys((splits or {}).values())}
        homeless, dropped = 0, 0
        cut: dict[str, dict[Modality, tuple[Array | None, Array | None]]] = {}
        for segment in segments:
            split = "test" if splits is None else splits.get(segment.video)
            frames = aligned.of(segment) if split is not None else {}
            lacking = any(x is None for x, _ in frames.values())
            homeless += split is None
            dropped += lacking and config.incomplete == "drop"
            if split is not None and not (lacking and config.incomplete == "drop"):
                members.setdefault(split, []).append(segment)
                cut[segment.name] = frames
        if homeless:
            notes.append(
                f"{homeless} of {len(segments)} samples are of videos that {config.folds} does not name; left out"
            )
        if dropped:
            notes.append(f"{dropped} samples without a frame of some modality are left out (data.incomplete: drop)")
        parts = {
            name: Part(
                ids=[segment.name for segment in chosen],
                sequences={m: [cut[segment.name][m][0] for segment in chosen] for m in read},
                targets=self._targets(chosen),
                seen={m: [cut[segment.name][m][1] for segment in chosen] for m in read},
            )
            for name, chosen in members.items()
        }
        names = {LABELS: tuple(config.binary)} if config.binary else {}
        return joined(parts, tuple(read), str(config.path), digest, notes, names)

    def _targets(self, segments: list[Segment]) -> dict[str, Tensor]:
        config = self.config
        if not segments or segments[0].labels is None:
            return {}
        where = f"{config.path / str(config.labels)}"
        values = np.stack([segment.labels for segment in segments if segment.labels is not None])
        for key, columns in (("targets", config.targets), ("binary", config.binary)):
            for name, column in columns.items():
                if column >= values.shape[1]:
                    raise UserError(
                        f"data.{key}.{name}: column {column}, but the labels in {where} have "
                        f"{values.shape[1]}, counted from 0"
                    )
        found = {name: labels.target(name, values[:, at], where) for name, at in config.targets.items()}
        return found | labels.binary({name: values[:, at] > 0 for name, at in config.binary.items()}, where)
