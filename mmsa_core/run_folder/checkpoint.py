"""The run folder: what is written, atomically, and how a model is rebuilt from it alone.

`recipe.yaml` (filled), `student.safetensors`, `teacher.safetensors`, `distillers.safetensors`,
`metrics.jsonl`, `results.json`, `predictions.csv`, `provenance.json`, `test_evaluations.jsonl`. An experiment's
folder holds one such folder per seed (`seed-1111`) and a `results.json` over the seeds.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmsa_core import assemble, limits
from mmsa_core.errors import UserError
from mmsa_core.model import Model
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.sections import ModelSection
from mmsa_core.run_folder import by_hand, sealed
from mmsa_core.tasks import NoTask
from mmsa_core.types import Modality

FORMAT = "mmsa-run-1"


@dataclass(frozen=True)
class Loaded:
    """A trained network, rebuilt from its run folder."""

    folder: Path
    recipe: Recipe
    model: Model
    channels: Mapping[Modality, int]
    lengths: Mapping[Modality, int]
    results: Mapping[str, Any]
    provenance: Mapping[str, Any]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with limits.named(path):
            yield Path(name)
            with open(name, "rb+") as file:
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~umask())
            os.replace(name, path)
            _synced(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _synced(folder: Path) -> None:
    """Have what a folder lists survive a power cut too, where the system can say so of a folder."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one piece or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_numbered(path: Path, content: bytes) -> Path:
    """Write a file; one of other content is not overwritten: the new one gets the next free number."""
    numbered = (path.with_stem(f"{path.stem}-{n}") for n in range(2, 10**6))
    free = path
    while free.exists() and free.read_bytes() != content:
        free = next(numbered)
    write_bytes(free, content)
    return free


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Write JSON in one piece; numbers that are not finite are a defect, not a value."""
    write_text(path, json_text(data))


def json_text(data: Any) -> str:
    """JSON as it is written into files."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: Path, header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table in one piece."""
    write_text(path, csv_text(header, rows))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors with a JSON description beside them."""
    plain: dict[str, Tensor] = {}
    memory: set[int] = set()
    for name, tensor in tensors.items():
        x = tensor.detach().cpu().contiguous()
        at = x.untyped_storage().data_ptr()
        plain[name] = x.clone() if at in memory else x  # safetensors refuses tied weights: each name has its own
        memory.add(at)
    with atomic(path) as temporary:
        temporary.write_bytes(save(plain, metadata={"mmsa": json.dumps({"format": FORMAT, **about})}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and their description; a file that is not ours raises `UserError`."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("mmsa", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable safetensors file of a run: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(f"{path}: not written by mmsa (expected format {FORMAT})")
    return tensors, about


def save_model(path: Path, model: Model, channels: Mapping[Modality, int]) -> None:
    """Weights and statistics of a network, with the sizes that its recipe does not say."""
    write_tensors(path, model.state_dict(), {"channels": dict(channels), "lengths": dict(model.lengths)})


def seed_folders(folder: Path) -> list[Path]:
    """The run folders of an experiment, or the run folder itself."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(f"no run folder {folder}; `mmsa train` prints the folder that it wrote")
    sealed.check(folder)
    if (folder / "student.safetensors").is_file():
        return [folder]
    found = sorted(f for f in folder.glob("seed-*") if (f / "student.safetensors").is_file())
    if not found:
        raise UserError(f"{folder} holds no finished run (no student.safetensors in it or in its seed-* folders)")
    return found


def unfinished(folder: Path) -> list[str]:
    """The seeds of an experiment that have no trained student."""
    return [f.name for f in sorted(folder.glob("seed-*")) if not (f / "student.safetensors").is_file()]


def load(folder: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Rebuild a student that predicts; one that was trained without a task raises `UserError`."""
    found = rebuild(folder, overrides)
    if isinstance(found.recipe.task, NoTask):
        raise UserError(
            f"{folder} was trained with task none and predicts nothing; initialise a model from it with model.init"
        )
    return found


def rebuild(folder: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Rebuild the student of one run folder; nothing in the folder is executed."""
    sealed.check(folder)
    try:
        recipe = recipe_file.load(folder / "recipe.yaml", overrides)
    except UserError as error:
        if (folder / "provenance.json").is_file() and (said := by_hand.missing(_provenance(folder), folder)):
            raise UserError(said) from error
        raise
    model, channels, lengths = load_model(folder / "student.safetensors", recipe.model, recipe)
    return Loaded(
        folder,
        recipe,
        model,
        channels,
        lengths,
        read_json(folder / "results.json"),
        _provenance(folder),
    )


def _provenance(folder: Path) -> dict[str, Any]:
    return read_json(folder / "provenance.json")


def load_model(
    path: Path, section: ModelSection, recipe: Recipe
) -> tuple[Model, dict[Modality, int], dict[Modality, int]]:
    """A network in eval mode, without gradients, from its weights and the recipe that built it."""
    tensors, about = read_tensors(path)
    channels, lengths = about.get("channels"), about.get("lengths")
    if not _sizes(channels) or not _sizes(lengths) or list(channels) != list(section.encoders):
        raise UserError(
            f"{path}: does not fit the recipe beside it: modalities {channels!r:.200} and {list(section.encoders)}"
        )
    if set(lengths) != set(channels):
        raise UserError(f"{path}: has lengths of {', '.join(lengths)}, but modalities {', '.join(channels)}")
    try:
        model = assemble.model(section, recipe.task, channels, lengths, seed=0)
        model.load_state_dict(tensors)
    except (RuntimeError, MemoryError) as error:  # MemoryError: sizes that no machine has
        raise UserError(f"{path}: does not fit the recipe beside it: {error}") from error
    return model.eval().requires_grad_(False), channels, lengths


def _sizes(found: Any) -> TypeGuard[dict[Modality, int]]:
    """Whether a description says a size for each modality."""
    return isinstance(found, dict) and all(type(size) is int and 0 < size < 2**31 for size in found.values())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found


def read_results(path: Path) -> dict[str, Any]:
    """The results of one seed: numbers, or null, of each condition."""
    found = read_json(path)
    conditions = found.get("conditions")
    tables = list(conditions.values()) if isinstance(conditions, dict) else [None]
    for values in tables:
        if not isinstance(values, dict) or not all(type(v) in (int, float, type(None)) for v in values.values()):
            raise UserError(
                f"{path}: expected numbers of metrics under conditions, found {values!r:.100}; it was changed. Move "
                "its folder away, and the seed is trained anew with --resume"
            )
    return found


def umask() -> int:
    """What this process takes from the permissions of what it makes."""
    current = os.umask(0)
    os.umask(current)
    return current
