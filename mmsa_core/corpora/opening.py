"""From a path to its corpus, for the commands that are given a file: what it looks like tells the reader."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmsa_core import registry
from mmsa_core.closed import Closed
from mmsa_core.components import DatasetConfig
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets.recognition import Looks, recognise
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe_defects import describe
from mmsa_core.recipes.recipe_yaml import KeyPath
from mmsa_core.recipes.sections import Data


class Section(Closed):
    """The part of a recipe that says what to read."""

    data: Data


@dataclass(frozen=True)
class Choice:
    """How a path is read."""

    config: DatasetConfig
    looks: Looks | None
    named: bool
    """Whether the reader was named, whatever the path looks like."""

    @property
    def own(self) -> dict[str, Any]:
        """The settings of the reader itself, without the path."""
        return self.config.model_dump(mode="json", exclude={*DatasetConfig.model_fields, "path"})

    @property
    def why(self) -> str:
        """The reader, why it is this one, and which of its settings are not its defaults."""
        because = "as --reader says" if self.named or self.looks is None else self.looks.schema
        defaults = {key: field.get_default(call_default_factory=True) for key, field in self._fields.items()}
        changed = {key: value for key, value in self.own.items() if value != defaults.get(key)}
        said = [
            f"data.{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changed.items()
        ]
        return f"{self.config.name} ({because}){'; set: ' if said else ''}{', '.join(said)}"

    @property
    def _fields(self) -> dict[str, Any]:
        return type(self.config).model_fields

    def load(self) -> Corpus:
        """The corpus."""
        corpus: Corpus = registry.datasets.get(self.config.name)(self.config).load()
        return corpus


def choose(path: Path, reader: str | None, overrides: Sequence[str] = ()) -> Choice:
    """How to read a path: by the reader that is named, else by the one for what it looks like.

    `overrides` are data.KEY=VALUE, fields of the reader.
    """
    path = path.expanduser()
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; a relative path starts at {Path.cwd()}")
    looks = recognise(path)
    name = reader or _recognised(path, looks)
    kind = registry.datasets.get(name)
    if "path" not in kind.Config.model_fields:
        raise UserError(f"--reader {name}: reads no file; readers of files: {', '.join(readers())}")
    fits = looks is not None and (reader is None or reader == looks.reader)
    needed = {k: v for k, v in (looks.settings if looks and fits else {}).items() if k in kind.Config.model_fields}
    return Choice(_config(path, name, needed, overrides), looks, reader is not None)


def readers() -> list[str]:
    """The data sets that read a path; one that cannot be imported is nobody's reader."""
    found = []
    for name in registry.datasets:
        with suppress(UserError):
            if "path" in registry.datasets.get(name).Config.model_fields:
                found.append(name)
    return found


def _recognised(path: Path, looks: Looks | None) -> str:
    if looks is None:
        held = "an empty folder" if path.is_dir() and not any(path.iterdir()) else "nothing that is recognised"
        raise UserError(f"{path}: {held}; name its reader with --reader, one of {', '.join(readers())}")
    if looks.reader is None:
        details = "; ".join(f"{key}: {value}" for key, value in looks.details.items())
        choice = f". Readers: {', '.join(readers())}" if "--reader" in looks.hint else ""
        raise UserError(f"{path}: {looks.schema}{f' ({details})' if details else ''}; {looks.hint}{choice}")
    if looks.reader not in registry.datasets:
        raise UserError(
            f"{path}: {looks.schema}, which the reader '{looks.reader}' would read, but no installed distribution has "
            f"it. Readers: {', '.join(readers())}"
        )
    return looks.reader


def _config(path: Path, name: str, needed: dict[str, Any], overrides: Sequence[str]) -> DatasetConfig:
    """The reader's configuration."""
    data: dict[str, Any] = {"data": {"name": name, "path": str(path), **needed}}
    origin: dict[KeyPath, str] = {}
    for override in overrides:
        key = override.partition("=")[0].removeprefix("data.")
        if not override.startswith("data.") or key in ("name", "path"):
            raise UserError(
                f"--set {override}: expected data.KEY=VALUE, a field of the reader (`mmsa show {name}` lists them). "
                "The file is the argument, its reader is --reader"
            )
        if key in DatasetConfig.model_fields:
            raise UserError(
                f"--set {override}: data.{key} works on whatever is read when a model is trained, and changes nothing "
                "here; set it in the recipe"
            )
        recipe_file.apply(data, override, origin)
    try:
        return Section.model_validate(data).data
    except ValidationError as error:
        raise UserError(describe(error, data, origin, f"reader {name}")) from error
