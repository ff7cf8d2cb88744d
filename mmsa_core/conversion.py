"""What `mmsa data convert` does: any file that a reader reads, in our format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmsa_core import recipe_file, registry
from mmsa_core.closed import Closed
from mmsa_core.components import DatasetConfig
from mmsa_core.corpus import Corpus
from mmsa_core.datasets import stored, storing
from mmsa_core.datasets.layout import Source
from mmsa_core.datasets.pickled import MMSA_KEYS, read_splits, shown
from mmsa_core.errors import UserError
from mmsa_core.recipe import Data
from mmsa_core.recipe_defects import describe
from mmsa_core.recipe_yaml import KeyPath


class Section(Closed):
    """The part of a recipe that says what to read."""

    data: Data


def convert(file: Path, folder: Path, reader: str | None, overrides: Sequence[str]) -> tuple[Corpus, Path]:
    """Read a file and write it as a new folder; the corpus as it is read back, and the folder.

    Raises:
        UserError: for bad data, a reader that cannot be told, or a folder that exists.
    """
    storing.check_new(folder)
    config = settings(file, reader or guess(file), overrides)
    corpus: Corpus = registry.datasets.get(config.name)(config).load()
    own = config.model_dump(mode="json", exclude={*DatasetConfig.model_fields, "path"})
    source = Source(file=file.name, reader=config.name, settings=own, sha256=corpus.digest)
    storing.write(corpus, folder, source)
    return stored.StoredCorpus(stored.StoredCorpus.Config(name="safetensors", path=folder)).load(), folder


def summary(corpus: Corpus) -> list[str]:
    """What a corpus has, in lines: splits, modalities, targets, notes, digest."""
    lines = []
    for name, split in corpus.splits.items():
        lines.append(f"{name}: {len(split)} rows; targets: {', '.join(split.targets) or 'none'}")
        for modality, x in split.features.items():
            rows, kind = int(x.present().sum()), str(x.values.dtype).removeprefix("torch.")
            frames = f"{int(x.lengths.sum())} frames, longest {x.longest}"
            lines.append(f"  {modality}: {x.channels} wide, {kind}, in {rows} rows, {frames}")
    return [*lines, *(f"note: {note}" for note in corpus.notes), f"sha256: {corpus.digest}"]


def settings(file: Path, reader: str, overrides: Sequence[str]) -> Any:
    """The reader's configuration."""
    data: dict[str, Any] = {"data": {"name": reader, "path": str(file)}}
    origin: dict[KeyPath, str] = {}
    for override in overrides:
        key = override.partition("=")[0].removeprefix("data.")
        if not override.startswith("data.") or key in ("name", "path"):
            raise UserError(f"--set {override}: expected data.KEY=VALUE with a setting of the reader '{reader}'")
        if key in DatasetConfig.model_fields:
            raise UserError(
                f"--set {override}: data.{key} works on whatever is read when a model is trained, and changes nothing "
                "in a conversion; set it in the recipe"
            )
        recipe_file.apply(data, override, origin)
    kind = registry.datasets.get(reader)
    if "path" not in kind.Config.model_fields:
        raise UserError(f"--reader {reader}: reads no file; readers of files: {', '.join(readers())}")
    try:
        return Section.model_validate(data).data
    except ValidationError as error:
        raise UserError(describe(error, data, origin, str(file))) from error


def guess(file: Path) -> str:
    """The reader of a file whose content leaves no doubt."""
    choice = f"say which reader it is for with --reader NAME: {', '.join(readers())}"
    if not file.exists():
        raise UserError(f"{file}: does not exist (the command runs in {Path.cwd()})")
    if not file.is_file():
        raise UserError(f"{file}: is no single file, and nothing in it is looked at to tell its format; {choice}")
    try:
        splits, _ = read_splits(file)
    except UserError as error:
        raise UserError(f"{error}\n{file}: not a pickle of the field, whose schema its keys tell; {choice}") from error
    keys = {key for split in splits.values() for key in split}
    if keys & MMSA_KEYS:
        return "mmsa-pickle"
    if "labels" in keys:
        return "mult-pickle"
    raise UserError(f"{file}: its keys do not tell its schema ({shown(keys)}); {choice}")


def readers() -> list[str]:
    """The data sets that are read from a path."""
    found = []
    for name in registry.datasets:
        try:
            fields = registry.datasets.get(name).Config.model_fields
        except UserError:
            continue  # a broken plugin is reported where it is used
        found += [name] if "path" in fields and name != "safetensors" else []
    return found
