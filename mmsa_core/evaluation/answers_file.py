"""Answers that are kept in a run folder, so that tables, comparisons and reports ask a student once.

A file is used again only where weights, data, split, masks and protocol are the same: a digest of all of them is in
its name.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.evaluation.protocol import Protocol
from mmsa_core.evaluation.scores import Answers
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint

FOLDER = "answers"
FORMAT = 3


@dataclass(frozen=True)
class Asked:
    """What was asked of whom."""

    folder: Path
    """Of the run of one seed."""
    protocol: Protocol
    split_name: str
    split: Split
    data_digest: str
    recipe: Recipe
    """As it is asked with, overrides included."""

    def about(self) -> dict[str, Any]:
        """All that the answers depend on."""
        described = self.protocol.describe()
        recipe = self.recipe.model_dump(mode="json")
        return {
            "answers": FORMAT,
            "protocol": described,
            "files": {path: digest(Path(path)) for path in sorted(_paths(described))},
            "split": self.split_name,
            "samples": sha256("\x1f".join(self.split.ids).encode()).hexdigest(),
            "data_sha256": self.data_digest,
            "data": {key: value for key, value in recipe["data"].items() if key != "path"},
            "model": recipe["model"],
            "mask_seed": self.recipe.evaluate.seed,
            "student_sha256": digest(self.folder / "student.safetensors"),
        }

    def path(self, about: Mapping[str, Any]) -> Path:
        """Where the answers are kept."""
        key = sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / FOLDER / f"{self.protocol.name}-{self.split_name}-{key}.safetensors"


def read(asked: Asked) -> dict[str, Answers] | None:
    """The answers in each condition, if they were kept; a file that is not what was written is not used."""
    path = asked.path(asked.about())
    if not path.is_file():
        return None
    try:
        tensors, about = checkpoint.read_tensors(path)
    except UserError:
        tensors, about = {}, {}
    if about.get("content_sha256") != content(tensors) or not _fit(tensors, asked):
        logging.getLogger("mmsa").warning("%s was damaged and is not used; the student is asked again", path)
        return None
    return {
        condition: Answers(*(tensors[f"{number}.{field}"] for field in Answers._fields))
        for number, condition in enumerate(asked.protocol.conditions)
    }


def _fit(tensors: Mapping[str, Tensor], asked: Asked) -> bool:
    """Whether they are of as many conditions and samples, and of the task: a digest is no signature."""
    shapes = {"logits": (len(asked.split), asked.recipe.task.width), "subset": (len(asked.split),)}
    shapes["share"] = shapes["subset"]
    wanted = {f"{n}.{field}": shapes[field] for n in range(len(asked.protocol.conditions)) for field in Answers._fields}
    if {name: tuple(x.shape) for name, x in tensors.items()} != wanted:
        return False
    codes = 1 << len(asked.recipe.model.encoders)
    return all(
        bool(((x >= 0) & (x < codes)).all()) if name.endswith(".subset") else x.is_floating_point()
        for name, x in tensors.items()
    )


def write(asked: Asked, answers: Mapping[str, Answers]) -> None:
    """Keep the answers; a file of the same name says the same."""
    about = asked.about()
    path = asked.path(about)
    path.parent.mkdir(exist_ok=True)
    tensors = {
        f"{number}.{field}": tensor
        for number, each in enumerate(answers.values())
        for field, tensor in each._asdict().items()
    }
    more = {"conditions": list(answers), "content_sha256": content(tensors)}
    checkpoint.write_tensors(path, tensors, about | more)


def content(tensors: Mapping[str, Tensor]) -> str:
    """A digest of tensors, by name."""
    found = sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tuple(tensors[name].shape)}".encode())
        found.update(tensors[name].contiguous().numpy().tobytes())
    return found.hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        found = sha256()
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _paths(described: Any) -> set[str]:
    """The files that conditions refer to."""
    if isinstance(described, dict):
        own = {str(value) for key, value in described.items() if key == "path" and value is not None}
        return own.union(*(_paths(value) for value in described.values()))
    return set[str]().union(*(_paths(value) for value in described)) if isinstance(described, list) else set()
