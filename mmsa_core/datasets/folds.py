"""Which video belongs to which split: a JSON or CSV file beside the computational sequences."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from mmsa_core.errors import UserError

FORMS = (
    '{"train": [video, ...], "valid": [...], "test": [...]} or {video: split, ...} in a .json, or lines video,split '
    "in a .csv"
)


def read(path: Path, content: bytes) -> dict[str, str]:
    """The split of each video; a video that is named for two splits is refused."""
    try:
        text = content.decode("utf-8-sig")
        found = _csv(text) if path.suffix == ".csv" else _json(json.loads(text))
    except (ValueError, RecursionError, csv.Error) as error:
        raise UserError(f"{path}: not a file of folds ({error!s:.200}); expected {FORMS}") from error
    splits: dict[str, str] = {}
    for video, split in found:
        name = "valid" if split == "dev" else split
        if splits.setdefault(video, name) != name:
            raise UserError(
                f"{path}: video '{video:.80}' is in {splits[video]:.80} and in {name:.80}; a video in two splits gives "
                f"its labels away. Name it once."
            )
    if not splits:
        raise UserError(f"{path}: names no video; expected {FORMS}")
    return splits


def _csv(text: str) -> list[tuple[str, str]]:
    rows = [
        tuple(cell.strip() for cell in row) for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row
    ]
    if any(len(row) != 2 or "" in row for row in rows):
        raise ValueError("a line without two cells")
    return [(row[0], row[1]) for row in rows if row != ("video", "split")]


def _json(data: Any) -> list[tuple[str, str]]:
    if not isinstance(data, dict):
        raise ValueError(f"a {type(data).__name__}")
    if all(isinstance(split, str) for split in data.values()):
        return list(data.items())
    if not all(isinstance(videos, list) for videos in data.values()):
        raise ValueError("a split that is no list of names")
    pairs = [(video, split) for split, videos in data.items() for video in videos]
    if not all(isinstance(video, str) for video, _ in pairs):
        raise ValueError("a split that is no list of names")
    return pairs
