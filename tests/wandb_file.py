"""Reads what an offline run at W&B was told: the records of a .wandb file, a LevelDB log of protocol buffers."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import wandb
from wandb.proto.wandb_internal_pb2 import Record

BLOCK, START = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path) -> Iterator[Record]:
    content, position, parts = path.read_bytes(), START, b""
    assert content[:4] == b":W&B"
    while position < len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left  # padding
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (FULL, LAST):
            found = Record()
            found.ParseFromString(parts)
            parts = b""
            yield found


@dataclass
class Told:
    """One offline run."""

    folder: Path
    run: object = None
    config: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    artifacts: dict = field(default_factory=dict)
    exit_code: int | None = None

    def table(self, name):
        """The content of a logged table."""
        found = json.loads((self.folder / "files" / self.last(f"{name}.path")).read_text())
        return [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]

    def series(self, name):
        return [row[name] for row in self.history if name in row]

    def last(self, name):
        return self.series(name)[-1]


def told(path) -> Told:
    """All that a run was told."""
    found = Told(path.parent)
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            items = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
            found.history.append({key: json.loads(value) for key, value in items.items()})
        elif kind == "summary":
            for item in record.summary.update:
                found.summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "artifact":
            files = [entry.path for entry in record.artifact.manifest.contents]
            found.artifacts[record.artifact.name] = (record.artifact.type, files)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def runs(folder) -> list[Told]:
    """The runs that were written below a folder, in their order."""
    wandb.teardown()  # its process ends, and has written all
    return [told(path) for path in sorted(folder.rglob("run-*.wandb"), key=lambda path: path.stat().st_mtime)]
