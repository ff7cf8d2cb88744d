"""The samples of computational sequences, intervals of videos, and the frames of each modality in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mmsa_core.datasets import alignment
from mmsa_core.datasets.csd import Frames
from mmsa_core.datasets.parts import Array
from mmsa_core.errors import UserError
from mmsa_core.types import Modality


@dataclass(frozen=True)
class Segment:
    """One sample: an interval of a video, and its row of labels."""

    name: str
    video: str
    start: float
    end: float
    labels: Array | None


def by_video(entries: Mapping[str, Frames], where: str) -> dict[str, Frames]:
    """Entries VIDEO[0], VIDEO[1] ... of one video joined, sorted by their start."""
    groups: dict[str, list[Frames]] = {}
    for name, frames in entries.items():
        groups.setdefault(name.split("[")[0], []).append(frames)
    joined = {}
    for video, found in groups.items():
        if len({frames.features.shape[1] for frames in found}) > 1:
            raise UserError(f"{where}: the entries of video '{video:.80}' have features of different widths")
        if len(found) == 1 and (np.diff(found[0].intervals[:, 0]) >= 0).all():
            joined[video] = found[0]  # long features are not copied
            continue
        intervals = np.concatenate([frames.intervals for frames in found])
        order = np.argsort(intervals[:, 0], kind="stable")
        joined[video] = Frames(intervals[order], np.concatenate([frames.features for frames in found])[order])
    return joined


def of_labels(entries: Mapping[str, Frames]) -> Iterator[Segment]:
    """The samples of a file of labels; intervals that the SDK takes as empty are none."""
    given: set[str] = set()
    for name, frames in entries.items():
        for at, ((start, end), row) in enumerate(zip(frames.intervals, frames.features, strict=True)):
            if end - start >= alignment.EPSILON:
                numbered = name if "[" in name and len(frames.intervals) == 1 else f"{name}[{at}]"
                if numbered in given:
                    raise UserError(
                        f"labels: two intervals are both sample '{numbered:.80}', one of the entry with that name and "
                        f"one of the entry '{numbered.split('[')[0]:.80}'; name them apart"
                    )
                given.add(numbered)
                yield Segment(numbered, name.split("[")[0], float(start), float(end), row)


def of_videos(read: Mapping[Modality, Mapping[str, Frames]]) -> Iterator[Segment]:
    """Every video as one sample."""
    for video in sorted({video for found in read.values() for video in found}):
        yield Segment(video, video, -np.inf, np.inf, None)


class Aligned:
    """The frames of each modality in a sample; a video is aligned when its first sample asks."""

    def __init__(
        self, read: Mapping[Modality, Mapping[str, Frames]], pivot: str | None, how: alignment.Collapse
    ) -> None:
        self.read, self.pivot, self.how = read, pivot, how
        self._video = ""
        self._frames: dict[Modality, tuple[Frames, Array | None]] = {}

    def of(self, segment: Segment) -> dict[Modality, tuple[Array | None, Array | None]]:
        """Features [frames, channels] and which frames are observed (None: all); no features where none is."""
        if segment.video != self._video:
            self._video, self._frames = segment.video, dict(self._align(segment.video))
        cut: dict[Modality, tuple[Array | None, Array | None]] = {}
        for modality in self.read:
            frames, seen = self._frames.get(modality, (None, None))
            rows = alignment.overlapping(frames, segment.start, segment.end) if frames is not None else np.zeros(0, int)
            there = len(rows) > 0 and (seen is None or bool(seen[rows].any()))
            cut[modality] = (
                frames.features[rows] if there and frames is not None else None,
                seen[rows] if there and seen is not None else None,
            )
        return cut

    def _align(self, video: str) -> Iterator[tuple[Modality, tuple[Frames, Array | None]]]:
        entries = {m: found[video] for m, found in self.read.items() if video in found}
        if self.pivot is None:
            for modality, frames in entries.items():
                yield modality, (frames, None)
            return
        if self.pivot not in entries:
            return
        pivot = alignment.long_enough(entries[self.pivot])
        for modality, frames in entries.items():
            if modality == self.pivot:
                yield modality, (pivot, None)
            else:
                values, found = alignment.to_pivot(frames, pivot, self.how)
                yield modality, (Frames(pivot.intervals, values), found)
