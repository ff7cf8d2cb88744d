"""What `mmsa predict` does: a run folder and a file in; a prediction for each sample out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from mmsa_core import registry
from mmsa_core.calibration import calibration, calibration_file
from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora import data, opening
from mmsa_core.corpora.batching import to_device
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets import recognition
from mmsa_core.datasets.recognition import Looks
from mmsa_core.errors import UserError
from mmsa_core.evaluation.protocol import Condition
from mmsa_core.evaluation.reports import check_new
from mmsa_core.evaluation.scores import Answers, answers
from mmsa_core.plain import plain
from mmsa_core.run_folder import checkpoint, sealed
from mmsa_core.tasks import TaskBase

PREDICTED = 256
"""Samples that are predicted at once."""


def predict(
    run: Path,
    file: Path,
    reader: str | None,
    split: str | None,
    out: Path | None,
    overrides: Sequence[str],
    device: torch.device,
    calibrate: bool = False,
) -> None:
    """Write id, split, prediction and the modalities seen of every sample of a file."""
    check_new("--out", out)
    header, rows = predicted(run, file, reader, split, overrides, device, calibrate)
    if out is not None:
        checkpoint.write_csv(out, header, rows)
        return
    click.echo(checkpoint.csv_text(header, rows), nl=False)


def predicted(
    run: Path,
    given: Path | Corpus,
    reader: str | None,
    split: str | None,
    overrides: Sequence[str],
    device: torch.device,
    calibrate: bool = False,
) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of the predictions of a file, or of a corpus in memory; notes go to standard error."""
    folders = checkpoint.seed_folders(run)
    if len(folders) > 1:
        raise UserError(f"{run} holds {', '.join(f.name for f in folders)}; name one of them to predict with")
    loaded = checkpoint.load(folders[0], overrides)
    if said := sealed.altered(loaded.folder, loaded.provenance):
        click.echo(plain(f"warning: {said}"), err=True)
    known_bias = calibration_file.load(loaded) if calibrate else None
    corpus = given if isinstance(given, Corpus) else read(loaded, given, reader)
    file = "the corpus" if isinstance(given, Corpus) else given
    if split is not None and split not in corpus.splits:
        raise UserError(f"{file}: no split '{split}'; found: {', '.join(corpus.splits)}")
    asked = [part for name, part in corpus.splits.items() if split in (None, name)]
    if not any(map(len, asked)):
        raise UserError(f"{file}: has no sample{f' in split {split!r}' if split else ''}; there is nothing to predict")
    others = tuple(f"{name}: " for name in corpus.splits if split not in (None, name))
    for note in corpus.notes:
        if not note.startswith(others):
            click.echo(plain(f"note: {note}"), err=True)
    network, task = loaded.model.to(device), loaded.recipe.task
    header: list[str] = ["id", "split", "seen"]
    rows: list[list[Any]] = []
    known = {modality for part in corpus.splits.values() for modality in part.features}
    if not known & set(loaded.channels):
        raise UserError(
            f"{file}: has {', '.join(sorted(known)) or 'no modality'}, but the run reads {', '.join(loaded.channels)}. "
            "If these are other names of the same, convert the file under the run's names and predict from the folder: "
            "mmsa data convert FILE FOLDER --set 'data.modalities={our name: key in the file}'"
        )
    for modality in loaded.channels:
        if modality not in known:
            click.echo(plain(f"note: {modality} is not in the file and counts as missing"), err=True)
    for name, part in corpus.splits.items():
        if split in (None, name) and len(part):
            part = data.with_channels(part, loaded.channels, f"{file}, split '{name}'", loaded.recipe.data.nonfinite)
            found = answers(network, to_device(part, device), {"": Condition()}, data.NO_DRAW, PREDICTED)[""]
            columns = task.prediction(found.logits) | _calibrated(known_bias, task, found)
            header = ["id", "split", "seen", *columns]
            cells = zip(part.ids, data.seen(part), *columns.values(), strict=True)
            rows += [[sample, name, *rest] for sample, *rest in cells]
    return header, rows


def _calibrated(known: calibration.Calibration | None, task: TaskBase, found: Answers) -> dict[str, list[float]]:
    """The columns of calibrated predictions; what was never seen on validation is said."""
    if known is None:
        return {}
    calibrated = calibration.apply(known, task, found)
    if borrowed := int((calibrated.steps > 0).sum()):
        click.echo(
            f"note: {borrowed} of {len(found.logits)} samples show what validation never showed: they "
            "are calibrated as their subset, or as all samples",
            err=True,
        )
    return {f"{name}_calibrated": column for name, column in task.prediction(calibrated.logits).items()}


def read(loaded: checkpoint.Loaded, file: Path, reader: str | None) -> Corpus:
    """The corpus of a file, by the named reader, or by the one for what it looks like.

    Where that is also a file of the run's own reader, the run's settings hold.
    """
    trained_with, looks = loaded.recipe.data, recognition.recognise(file.expanduser())
    reader = reader or _reader(trained_with, looks)
    kind: type[Dataset] = registry.datasets.get(reader)
    if "path" not in kind.Config.model_fields:
        raise UserError(
            f"the run was trained on '{trained_with.name}', which reads no file; say the format of {file} with "
            f"--format, one of {', '.join(opening.readers())}"
        )
    needed = dict(looks.settings) if looks is not None and looks.reader == reader else {}
    settings = trained_with.model_dump() if kind.Config is type(trained_with) else {"name": reader} | needed
    if kind.Config is not type(trained_with):
        settings |= _names(trained_with, kind.Config)
    settings |= {"path": file} | ({"absent": "missing"} if "absent" in kind.Config.model_fields else {})
    if looks is not None and looks.reader == reader != trained_with.name:
        click.echo(plain(f"note: read as {reader}: {looks.schema}"), err=True)
    config = kind.Config.model_validate(settings)
    corpus: Corpus = kind(config).load()
    data.check_names(corpus)
    return corpus


def _names(trained_with: DatasetConfig, other: type[DatasetConfig]) -> dict[str, Any]:
    """What the run calls its modalities, where it was set and another reader maps names too."""
    fields = type(trained_with).model_fields
    own = {key: getattr(trained_with, key) for key in ("modalities", "tokens") if key in fields}
    defaults = {key: fields[key].get_default(call_default_factory=True) for key in own}
    return {key: value for key, value in own.items() if value != defaults[key] and key in other.model_fields}


def _reader(trained_with: DatasetConfig, looks: Looks | None) -> str:
    """The run's reader where it may read the file; else the one for what the file looks like.

    A reader that recognition does not know, of a plugin, is believed to read any file that is not of our format.
    """
    if looks is None or looks.reader is None or looks.reader not in registry.datasets:
        return trained_with.name
    other = registry.datasets.get(looks.reader)
    extends = isinstance(trained_with, other.Config)
    foreign = trained_with.name not in recognition.READERS and "path" in type(trained_with).model_fields
    return trained_with.name if extends or (foreign and looks.reader != "safetensors") else looks.reader
