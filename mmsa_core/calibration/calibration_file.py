"""`calibration.json` of a run folder: each cell in words, and what it was fitted on."""

from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, ValidationError

from mmsa_core.calibration.bias import Bias, Rule
from mmsa_core.calibration.calibrating import DRAW, PROTOCOL, Fitted, headline
from mmsa_core.calibration.calibration import Calibration, Cell
from mmsa_core.calibration.evidence import EDGES
from mmsa_core.calibration.margins import decisions
from mmsa_core.closed import Closed
from mmsa_core.errors import UserError
from mmsa_core.evaluation.answers_file import digest
from mmsa_core.evaluation.availability import subset
from mmsa_core.run_folder import checkpoint
from mmsa_core.run_folder.checkpoint import Loaded

NAME = "calibration.json"
FORMAT: Literal["mmsa-calibration-1"] = "mmsa-calibration-1"
ABOUT = (
    "What is added to a prediction, by the modalities that are seen and the share of holes in them; "
    "null stands for any. Fitted on validation. `mmsa evaluate --calibrate` and `mmsa predict --calibrate` apply it."
)


class CellEntry(Closed):
    """The bias of one cell."""

    seen: list[str] | None
    missing: tuple[float, float] | None
    clips: NonNegativeInt
    answers: NonNegativeInt
    temperature: PositiveFloat
    bias: dict[str, float]


class FittedOn(Closed):
    """What a calibration depends on."""

    split: Literal["valid"] = "valid"
    samples: int
    data_sha256: str
    student_sha256: str
    protocol: str
    draw: str
    draws: int
    mask_seed: int


class File(Closed):
    """The whole file."""

    format: Literal["mmsa-calibration-1"]
    about: str
    modalities: list[str]
    rule: Rule
    f1_on_clips_left_out: dict[str, float]
    fitted_on: FittedOn
    cells: list[CellEntry]


def written(run: Loaded, fitted: Fitted, samples: int, data_digest: str, draws: int) -> File:
    """A calibration as it is kept."""
    task, modalities = run.recipe.task, list(run.channels)
    found: list[tuple[Cell | None, Bias]] = [(None, fitted.calibration.whole), *fitted.calibration.cells.items()]
    return File(
        format=FORMAT,
        about=ABOUT,
        modalities=modalities,
        rule=fitted.rule,
        f1_on_clips_left_out={"without": headline(task, fitted.before)}
        | {rule: headline(task, values) for rule, values in fitted.after.items()},
        fitted_on=FittedOn(
            samples=samples,
            data_sha256=data_digest,
            student_sha256=digest(run.folder / "student.safetensors"),
            protocol=PROTOCOL,
            draw=DRAW,
            draws=draws,
            mask_seed=run.recipe.evaluate.seed,
        ),
        cells=[_entry(cell, bias, decisions(task), modalities) for cell, bias in found],
    )


def _entry(cell: Cell | None, bias: Bias, names: tuple[str, ...], modalities: list[str]) -> CellEntry:
    code, bucket = (None, None) if cell is None else cell
    ends = (0.0, *EDGES, 1.0)
    return CellEntry(
        seen=None if code is None else [m for m in subset(code, modalities).split("+") if m],
        missing=None if bucket is None else (ends[bucket], ends[bucket + 1]),
        clips=bias.clips,
        answers=bias.answers,
        temperature=bias.temperature,
        bias=dict(zip(names, bias.values, strict=True)),
    )


def save(folder: Path, file: File) -> Path:
    """Keep it in the run folder of one seed; another calibration there is not overwritten."""
    path = folder / NAME
    content: dict[str, Any] = file.model_dump(mode="json")
    if path.exists() and checkpoint.read_json(path) != content:
        raise UserError(
            f"{path}: holds another calibration (other options, data or weights), and nothing is overwritten; "
            "move it away to fit a new one"
        )
    checkpoint.write_json(path, content)
    return path


def load(run: Loaded) -> Calibration:
    """The calibration of a run, which must be of its weights and modalities.

    Raises:
        UserError: where there is none, or it is of something else.
    """
    path, task = run.folder / NAME, run.recipe.task
    if not path.is_file():
        raise UserError(f"{run.folder} has no {NAME}; fit one on its validation split: mmsa calibrate {run.folder}")
    again = f"move it away and run: mmsa calibrate {run.folder}"
    try:
        file = File.model_validate(checkpoint.read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; {again}") from error
    if file.fitted_on.student_sha256 != digest(run.folder / "student.safetensors"):
        raise UserError(f"{path}: was fitted to other weights than student.safetensors beside it; {again}")
    whole = [entry for entry in file.cells if entry.seen is None]
    if file.modalities != list(run.channels) or len(whole) != 1:
        raise UserError(f"{path}: does not fit the run beside it; {again}")
    if any(tuple(entry.bias) != decisions(task) for entry in file.cells):
        raise UserError(
            f"{path}: has a bias for {', '.join(whole[0].bias)}, not for {', '.join(decisions(task))}; {again}"
        )
    try:
        cells = {_cell(entry, file.modalities): _bias(entry) for entry in file.cells if entry.seen is not None}
    except ValueError as error:  # a modality or an edge that there is not
        raise UserError(f"{path}: a cell is none of this run's: {error}; {again}") from error
    return Calibration(_bias(whole[0]), cells)


def _cell(entry: CellEntry, modalities: list[str]) -> Cell:
    code = sum(1 << modalities.index(m) for m in entry.seen or ())
    return code, None if entry.missing is None else (0.0, *EDGES).index(entry.missing[0])


def _bias(entry: CellEntry) -> Bias:
    return Bias(tuple(entry.bias.values()), entry.temperature, entry.clips, entry.answers)
