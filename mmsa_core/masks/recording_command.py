"""What `mmsa masks` does: a recipe or a run in; manifests and a protocol out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from mmsa_core import registry
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.masks import recording
from mmsa_core.masks.published_masks import recording as published_recording
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, new_folder


def recipe_of(source: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe in a file, or the one of a run."""
    path = checkpoint.seed_folders(source)[0] / "recipe.yaml" if source.is_dir() else source
    return recipe_file.load(path, overrides)


def record(recipe: Recipe, protocol: str, split: str, out: Path) -> list[Path]:
    """Write the masks that a protocol draws; the paths of the files."""
    new_folder.check(out)
    prepared = data.load(recipe)
    written, found = recording.of_protocol(recipe, prepared, protocol, split)
    about = {"protocol": written["name"], "split": split, "mask_seed": recipe.evaluate.seed, "data": prepared.digest}
    return recording.write(out, written, found, prepared.splits[split], about)


def record_published(
    recipe: Recipe,
    code: str,
    split: str,
    out: Path,
    seed: int | None,
    order: str | None,
    frames: Mapping[str, int],
) -> list[Path]:
    """Write the masks of a published code; the paths of the files.

    They are for all rows of the file, those without any modality included, since the code's random numbers go by rows.
    """
    new_folder.check(out)
    corpus = registry.datasets.get(recipe.data.name)(recipe.data).load()
    if split not in corpus.splits:
        raise UserError(f"data '{recipe.data.name}': no split '{split}'; found: {', '.join(corpus.splits)}")
    chosen: Split = corpus.splits[split]
    modalities = list(recipe.model.encoders) if order is None else order.split(",")
    if unknown := [m for m in frames if m not in modalities]:
        raise UserError(f"--frames {unknown[0]}={frames[unknown[0]]}: expected one of {', '.join(modalities)}")
    stored = {m: published_recording.stored_length(x) for m, x in chosen.features.items()} | dict(frames)
    written, found = published_recording.of_code(code, chosen, modalities, stored, seed)
    used = ", ".join(f"{m} {stored[m]}" for m in modalities)
    click.echo(f"rows {len(chosen)}, frames {used}: the code's random numbers go by them (--frames sets frames)")
    about = {"published": code, "seed": seed, "split": split, "data": corpus.digest}
    return recording.write(out, written, found, chosen, about)
