"""Writes computational sequences (.csd) as the CMU Multimodal SDK does: a file for each modality, labels, folds.

A frame lasts a second. The clips of a video, `video$_$clip`, follow each other with a second between them, so that
clip k of a video is read as `video[k]`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets.parts import Array
from mmsa_core.errors import UserError
from mmsa_core.writers import rows
from mmsa_core.writers.folder import target_columns

Entry = dict[str, tuple[list[Array], list[Array]]]
"""Intervals and features of each video, a piece for each clip."""


def write(corpus: Corpus, path: Path) -> tuple[str, ...]:
    """One .csd for each modality, labels.csd (a column for each target) and folds.json."""
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise UserError(f"cmu-sdk needs h5py ({error}): pip install 'mmsa-core[csd]'") from error
    path.mkdir()
    modalities = list(dict.fromkeys(m for split in corpus.splits.values() for m in split.features))
    columns = target_columns(corpus)
    files: dict[str, Entry] = {name: {} for name in (*modalities, "labels")}
    folds: dict[str, list[str]] = {}
    clock: dict[str, float] = {}
    written: set[str] = set()
    for name, split in corpus.splits.items():
        clips = {m: list(rows.sequences(split, m)) for m in split.features}
        values = [split.targets[t] if at is None else split.targets[t][:, at] for t, at in columns.values()]
        table = np.stack([each.numpy() for each in values], axis=1).astype(np.float32) if values else None
        videos = [sample.split("$_$")[0] for sample in split.ids]
        folds[name] = list(dict.fromkeys(videos))
        for row, (sample, video) in enumerate(zip(split.ids, videos, strict=True)):
            if sample in written:  # the same clip in another split
                continue
            written.add(sample)
            start = clock.get(video, 0.0)
            longest = max([1, *(len(found[row][1]) for found in clips.values())])
            for modality, found in clips.items():
                x, seen = found[row]
                if x is not None:
                    at = np.flatnonzero(seen)
                    _add(files[modality], video, start + np.stack([at, at + 1], axis=1), x[at])
            label = table[row : row + 1] if table is not None else np.zeros((1, 1), np.float32)
            _add(files["labels"], video, np.array([[start, start + longest]]), label)
            clock[video] = start + longest + 1
    for name, entries in files.items():
        _save(path / f"{name}.csd", name, entries, list(columns) if name == "labels" else [])
    (path / "folds.json").write_text(json.dumps(folds, indent=1) + "\n", encoding="utf-8")
    inside = rows.holes(corpus)
    return (*inside, "ids become VIDEO[k], the k-th clip of the video")


def _add(entries: Entry, video: str, intervals: Array, features: Array) -> None:
    pieces = entries.setdefault(video, ([], []))
    pieces[0].append(intervals.astype(np.float64))
    pieces[1].append(features)


def _save(path: Path, root: str, entries: Entry, columns: list[str]) -> None:
    """One file as the SDK lays it out; no time of writing is stored."""
    import h5py

    about: Mapping[str, Any] = {"root name": root, "dataset name": "synthetic", "dimension names": columns}
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        group = file.create_group(root)
        data = group.create_group("data")
        for video in sorted(entries):
            intervals, features = (np.concatenate(pieces) for pieces in entries[video])
            entry = data.create_group(video)
            entry.create_dataset("features", data=features, compression="gzip", track_times=False)
            entry.create_dataset("intervals", data=intervals, track_times=False)
        metadata = group.create_group("metadata")
        for key, value in about.items():
            text = np.array([json.dumps(value)], dtype=h5py.string_dtype())
            metadata.create_dataset(key, data=text, track_times=False)
