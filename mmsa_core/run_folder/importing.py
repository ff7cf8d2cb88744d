"""What `mmsa import` does: a checkpoint of other people's code becomes an ordinary run folder.

An importer, which a package declares under `[project.entry-points."mmsa.importers"]`, is a function

    def published(tensors: dict[str, Tensor], overrides: Sequence[str]) -> Imported

of the checkpoint's tensors and of what the user gives with `--set`, for what weights do not say (such
as a number of heads). It raises `UserError` where the checkpoint is another one than it reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from mmsa_core import assemble, registry
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.model import Model
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, foreign, new_folder, provenance
from mmsa_core.training.experiment import anchored
from mmsa_core.types import Modality


@dataclass(frozen=True)
class Imported:
    """What an importer makes of a checkpoint.

    `recipe` is plain data, as in a recipe's YAML; the overrides are applied to it afterwards. `state` has
    the student's tensors by our names, without `standardize.*`. `channels` and `lengths` are the feature
    width and the longest sequence of each modality; `notes` are sentences for the user.
    """

    recipe: dict[str, Any]
    state: dict[str, Tensor]
    channels: dict[Modality, int]
    lengths: dict[Modality, int]
    notes: tuple[str, ...] = ()


Importer = Callable[[dict[str, Tensor], Sequence[str]], Imported]


def run(name: str, path: Path, out: Path, overrides: Sequence[str], command: str, display: Display) -> None:
    """Write the run folder of a checkpoint.

    Raises:
        UserError: for an unknown importer, a file that is no state dict, or tensors that do not fit the recipe.
    """
    importer: Importer = registry.importers.get(name)
    tensors, digest = foreign.read(path)
    imported = _converted(importer, name, path, tensors, overrides)
    recipe = _recipe(imported, f"the recipe of importer '{name}'", overrides)
    model = _model(imported, recipe, f"{path}, read by importer '{name}'")
    new_folder.check(out)
    about = {
        "command": command,
        "importer": {"name": name, "of": " and ".join(registry.importers.owners(name))},
        "checkpoint": {"name": path.name, "sha256": digest},
        "notes": list(imported.notes),
        "recipe_sha256": sha256(recipe_file.dump(recipe).encode()).hexdigest(),
        "versions": provenance.versions(),
    }
    for note in imported.notes:
        display.note(note)
    with new_folder.new_folder(out) as folder:
        checkpoint.write_text(folder / "recipe.yaml", recipe_file.dump(recipe))
        checkpoint.write_json(folder / "provenance.json", about)
        checkpoint.write_json(folder / "results.json", {"conditions": {}, "threshold": None})
        channels = {m: imported.channels[m] for m in model.encoders}
        checkpoint.save_model(folder / "student.safetensors", model, channels)
    display.console.print(f"run folder: {out}", markup=False, highlight=False, soft_wrap=True)


def _converted(
    importer: Importer, name: str, path: Path, tensors: dict[str, Tensor], overrides: Sequence[str]
) -> Imported:
    try:
        found = importer(tensors, overrides)
    except UserError:
        raise
    except Exception as error:  # a plugin can fail in any way, most of all on a checkpoint of something else
        raise UserError(
            f"importer '{name}' cannot read {path}: {type(error).__name__}: {error}. Is it a checkpoint of what "
            f"`mmsa show {name}` describes?"
        ) from error
    if not isinstance(found, Imported):
        raise UserError(f"importer '{name}' gives {type(found).__name__} instead of Imported")
    return found


def _recipe(imported: Imported, where: str, overrides: Sequence[str]) -> Recipe:
    """The recipe of one seed, which says that features are not standardised: other code did not."""
    data = {"normalize": "none", **imported.recipe.get("data", {})}
    recipe = recipe_file.build({**imported.recipe, "data": data}, overrides, where)
    if recipe.data.normalize != "none":
        raise UserError(
            f"{where}: data.normalize: imported weights take features as they are, expected none, found "
            f"{recipe.data.normalize}; add --set data.normalize=none"
        )
    return anchored(recipe.model_copy(update={"seeds": recipe.seeds[:1]}))


def _model(imported: Imported, recipe: Recipe, where: str) -> Model:
    """The recipe's network with the imported weights; its statistics change nothing."""
    modalities = list(recipe.model.encoders)
    for what, sizes in (("channels", imported.channels), ("lengths", imported.lengths)):
        if set(sizes) != set(modalities):
            raise UserError(f"{where}: its {what} are of {', '.join(sizes)}, the recipe reads {', '.join(modalities)}")
    channels = {m: imported.channels[m] for m in modalities}
    model = assemble.model(recipe.model, recipe.task, channels, imported.lengths, seed=0)
    own = model.state_dict()
    weights = {name: tensor for name, tensor in own.items() if not name.startswith("standardize.")}
    if defects := _mismatches(imported.state, weights):
        raise UserError("\n".join([f"{where}: does not fit the recipe", *defects]))
    model.load_state_dict(own | imported.state)
    return model


def _mismatches(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Every tensor that is missing, not expected, or of another shape."""
    lines = []
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        has, needs = (str(list(part[name].shape)) if name in part else "none" for part in (found, wanted))
        if has != needs:
            kind = "missing" if has == "none" else "unexpected" if needs == "none" else "different"
            lines.append(f"{kind}: {name}, found {has}, expected {needs}")
    return lines
