"""What `mmsa embed` does: files of representations, maps as pictures and tables, in a folder for each seed."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mmsa_core import assemble
from mmsa_core.corpora.batching import to_device
from mmsa_core.corpora.corpus import Split
from mmsa_core.display import Display
from mmsa_core.embedding import embedding, embedding_figure
from mmsa_core.embedding.embedding import Represented
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file, reports
from mmsa_core.evaluation.answers_file import digest
from mmsa_core.evaluation.protocol import Protocol
from mmsa_core.run_folder import checkpoint, new_folder, test_log
from mmsa_core.run_folder.checkpoint import Loaded

TITLES = {"pca": "PCA", "tsne": "t-SNE"}


def embed(
    run: Path,
    protocol: str,
    chosen: Sequence[str],
    split: str,
    out: Path | None,
    methods: Sequence[str],
    most: int,
    overrides: Sequence[str],
    device: torch.device,
    display: Display,
) -> None:
    """Write the representations of every seed of RUN, and maps of at most so many samples.

    Raises:
        UserError: for a folder that holds something, an unknown protocol or condition.
    """
    runs = reports.opened(run, overrides, display)
    file, folder = protocol_file.load(protocol), free(run, out)
    prepared = reports.data_of(runs, display)
    part = prepared.splits[split]
    conditions = only(protocol_file.resolve(file, tuple(runs[0].channels), part), chosen)
    for condition in conditions.conditions.values():
        condition.prepare(prepared.splits["train"], assemble.raw(runs[0].recipe.model))
    moved = to_device(part, device)
    with new_folder.new_folder(folder) as made:
        for each in runs:
            if split == "test":
                test_log.record(each.folder, "embed", " ".join(["mmsa", *sys.argv[1:]]), list(conditions.conditions))
            source, size = conditions.source(each.recipe.evaluate.seed), each.recipe.evaluate.batch_size
            found = embedding.represent_all(each.model.to(device), moved, conditions.conditions, source, size)
            own = made / f"seed-{each.recipe.seeds[0]}"
            own.mkdir()
            write_tensors(own / "representations.safetensors", each, part, split, conditions, found)
            draw(own, each, part, split, conditions, found, methods, most)
    for path in sorted(folder.glob("seed-*/*")):
        display.console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)


def free(run: Path, out: Path | None) -> Path:
    """A folder that is not there yet: as asked, or RUN/embed, RUN/embed-2, ..."""
    if out is None:
        numbered = (run / f"embed-{n}" for n in range(2, 10**6))
        first = run / "embed"
        return first if not first.exists() else next(path for path in numbered if not path.exists())
    new_folder.check(out)
    return out


def only(protocol: Protocol, chosen: Sequence[str]) -> Protocol:
    """The protocol with the wanted conditions alone; with all of them where none is named."""
    if unknown := [name for name in chosen if name not in protocol.conditions]:
        known = ", ".join(protocol.conditions)
        raise UserError(f"--condition {unknown[0]}: protocol {protocol.name} has {known}")
    kept = {name: each for name, each in protocol.conditions.items() if not chosen or name in chosen}
    return replace(protocol, conditions=kept, averages={})


def write_tensors(
    path: Path, run: Loaded, split: Split, split_name: str, protocol: Protocol, found: dict[str, Represented]
) -> None:
    """All representations in one file: `CONDITION/joint`, `CONDITION/MODALITY`, what was seen, and the target."""
    tensors = {f"{name}/{what}": x for name, each in found.items() for what, x in each.tensors().items()}
    tensors["target"] = run.recipe.task.target(split)
    about = {
        "representations": 1,
        "ids": split.ids,
        "split": split_name,
        "modalities": list(run.channels),
        "conditions": list(found),
        "protocol": protocol.name,
        "mask_seed": run.recipe.evaluate.seed,
        "student_sha256": digest(run.folder / "student.safetensors"),
    }
    checkpoint.write_tensors(path, tensors, about)


def draw(
    folder: Path,
    run: Loaded,
    split: Split,
    split_name: str,
    protocol: Protocol,
    found: dict[str, Represented],
    methods: Sequence[str],
    most: int,
) -> None:
    """Each map as a picture and as a table."""
    rows = embedding.some(split, most)
    task, count = run.recipe.task, len(rows)
    target = torch.cat([task.target(split).cpu()[rows]] * len(found))
    condition = [name for name in found for _ in range(count)]
    ids = [split.ids[row] for row in rows.tolist()] * len(found)
    ats = {name: each.at for name, each in protocol.conditions.items() if each.at is not None}
    made = embedding.maps([each.joint[rows] for each in found.values()], methods, str(run.folder))
    of = f"{count} of {len(split)} samples" if count < len(split) else f"{count} samples"
    about = f"{run.recipe.name}, seed {run.recipe.seeds[0]}, {split_name} split ({of}), protocol {protocol.name}"
    for name, each in made.items():
        columns = (ids, condition, words(target), *each.points.T.tolist())
        checkpoint.write_csv(
            folder / f"{name}.csv", ["id", "condition", "target", "x", "y"], zip(*columns, strict=True)
        )
        image = embedding_figure.png(
            f"{TITLES[name]} of the joint representation\n{about}", each, condition, ats, task, target
        )
        checkpoint.write_bytes(folder / f"{name}.png", image)


def words(target: torch.Tensor) -> list[str]:
    """Each target as a cell of a table; several labels are parted by blanks."""
    return [" ".join(map(str, row)) if isinstance(row, list) else str(row) for row in target.tolist()]
