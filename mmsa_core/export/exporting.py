"""What `mmsa export` does: a run folder in; a file out that has been checked against the network."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmsa_core.calibration import calibration_file
from mmsa_core.errors import UserError
from mmsa_core.evaluation.answers_file import digest
from mmsa_core.evaluation.reports import check_new
from mmsa_core.export import checking, formats
from mmsa_core.export.exported import FORMAT, opened
from mmsa_core.export.formats import Format
from mmsa_core.export.student import Student
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder import checkpoint, provenance, sealed
from mmsa_core.run_folder.checkpoint import Loaded


@dataclass(frozen=True)
class Written:
    """A file that was written."""

    path: Path
    about: dict[str, Any]
    cases: int
    """In how many cases it was compared with the network."""
    notes: tuple[str, ...]


def export(run: Path, form: Format, out: Path | None = None, seed: int | None = None) -> Written:
    """Write the student of a run (by default into its folder), which must have one seed or be told which.

    Raises:
        UserError: also where a component cannot be exported, or the file answers otherwise than the network; then
            nothing is written.
    """
    formats.check_installed(form)
    loaded = checkpoint.load(_folder(run, seed))
    path = loaded.folder / f"student.{form}" if out is None else out
    check_new("--out", path)
    if path.suffix != f".{form}":
        raise UserError(f"--out {path}: expected a name that ends in .{form}, as --format says")
    names = {m: config.name for m, config in loaded.recipe.model.encoders.items()}
    checking.check_readable(loaded.model, names)
    student = Student(loaded.model, loaded.recipe.task).eval()
    about = description(loaded, student)
    with checkpoint.atomic(path) as temporary:
        _write(form, loaded, student, about, temporary)
        cases = checking.check(opened(temporary, form), student)
    return Written(path, about, cases, tuple(_notes(loaded, about)))


def _folder(run: Path, seed: int | None) -> Path:
    folders = checkpoint.seed_folders(run)
    if seed is None and len(folders) > 1:
        raise UserError(f"{run} holds {', '.join(f.name for f in folders)}; name one of them, or say --seed")
    by_seed = {recipe_file.load(folder / "recipe.yaml").seeds[0]: folder for folder in folders}
    if seed is not None and seed not in by_seed:
        raise UserError(f"--seed {seed}: {run} holds no finished run of that seed; found: {_listed(by_seed)}")
    return folders[0] if seed is None else by_seed[seed]


def _listed(found: dict[int, Path]) -> str:
    return ", ".join(map(str, found))


def description(loaded: Loaded, student: Student) -> dict[str, Any]:
    """What the file says of itself."""
    calibrated = loaded.folder / calibration_file.NAME
    return {
        "format": FORMAT,
        "modalities": {m: {"width": width, "longest": student.lengths.get(m)} for m, width in loaded.channels.items()},
        "inputs": student.inputs,
        "outputs": student.outputs,
        "task": loaded.recipe.task.model_dump(mode="json"),
        "run": {
            "name": loaded.recipe.name,
            "seed": loaded.recipe.seeds[0],
            "student_sha256": digest(loaded.folder / "student.safetensors"),
            "recipe_sha256": sha256(recipe_file.dump(loaded.recipe).encode()).hexdigest(),
        },
        "threshold": loaded.results.get("threshold"),
        "calibration": checkpoint.read_json(calibrated) if calibrated.is_file() else None,
        "versions": provenance.versions(),
    }


def _notes(loaded: Loaded, about: dict[str, Any]) -> list[str]:
    notes = []
    if said := sealed.altered(loaded.folder, loaded.provenance):
        notes.append(said)
    if about["calibration"] is not None:
        notes.append(f"{calibration_file.NAME} of the run stands in the file's description; its outputs are without it")
    return notes


def _write(form: Format, loaded: Loaded, student: Student, about: dict[str, Any], path: Path) -> None:
    try:
        program = formats.record(student, loaded.channels, student.lengths)
        formats.write(form, program, student, about, path)
    except Exception as error:  # torch raises what it likes of what it cannot record
        who = _blamed(form, loaded, student, path)
        raise UserError(
            f"{who} cannot be exported as {form}: {_reason(error)}. Nothing was written; the run itself predicts with "
            "mmsa predict"
        ) from error


def _blamed(form: Format, loaded: Loaded, student: Student, path: Path) -> str:
    """The component that cannot be exported: the first encoder that cannot be by itself, or else the fusion."""
    for modality, config in loaded.recipe.model.encoders.items():
        part = formats.Part(student, modality)
        try:
            formats.write(form, formats.record(part, loaded.channels, student.lengths), None, {}, path)
        except Exception:
            return f"encoder '{config.name}' of '{modality}'"
    return f"fusion '{loaded.recipe.model.fusion.name}'"


def _reason(error: Exception) -> str:
    """The end of a chain of errors, in one line: what lies above it is about torch."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    first = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {first:.300}"
