"""From a recipe to modules, and the contract checks before anything trains."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from mmsa_core import limits, registry
from mmsa_core.components import Context, Distiller, Masker
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.missing import derive
from mmsa_core.model import Model
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.sections import ModelSection
from mmsa_core.tasks import NoTask, Regression, TaskBase
from mmsa_core.types import Batch, Modality, Outputs


def model(
    section: ModelSection,
    task: TaskBase,
    channels: Mapping[Modality, int],
    lengths: Mapping[Modality, int],
    seed: int,
) -> Model:
    """A network with weights drawn from `seed` alone."""
    own = {m: lengths[m] for m in channels}
    context = Context(channels=channels, lengths=own, dim=section.dim, task=task)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoders = {m: registry.encoders.get(config.name)(config, context, m) for m, config in section.encoders.items()}
        encoded = replace(context, lengths={m: encoders[m].length(length) for m, length in own.items()})
        fusion = registry.fusions.get(section.fusion.name)(section.fusion, encoded)
        return Model(channels, encoders, fusion, own)


def contracts(recipe: Recipe) -> None:
    """Refuse loss terms that need what task, teacher or fusion do not give; looks at no data."""
    if isinstance(recipe.task, NoTask):
        _check_without_task(recipe)
    for label, config in recipe.distillers.items():
        _check(recipe, label, config.name, registry.distillers.get(config.name))


def read_of_teacher(recipe: Recipe) -> type[Outputs]:
    """The class of outputs that the terms read of a teacher."""
    components: list[type[Distiller]] = [registry.distillers.get(each.name) for each in recipe.distillers.values()]
    read = {component.reads for component in components if component.needs_teacher}
    candidates: list[type[Outputs]] = [Outputs, *read, registry.fusions.get(recipe.model.fusion.name).gives]
    return next(kind for kind in candidates if all(issubclass(kind, each) for each in read))


def distillers(
    recipe: Recipe, channels: Mapping[Modality, int], lengths: Mapping[Modality, int], seed: int
) -> nn.ModuleDict:
    """The loss terms; each draws its weights from a source of its own."""
    context = Context(channels=channels, lengths=lengths, dim=recipe.model.dim, task=recipe.task)
    terms = {}
    for label, config in recipe.distillers.items():
        component = registry.distillers.get(config.name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "distiller", label))
            terms[label] = component(config, context)
    return nn.ModuleDict(terms)


def masker(recipe: Recipe, train: Split) -> Masker | None:
    """What hides frames from the student, if anything does, prepared with the training split."""
    if recipe.masker is None:
        return None
    found: Masker = registry.maskers.get(recipe.masker.name)(recipe.masker)
    found.prepare(train, raw(recipe.model))
    return found


def raw(section: ModelSection) -> frozenset[Modality]:
    """The modalities whose encoder takes features as they are, such as token ids."""
    return frozenset(m for m, config in section.encoders.items() if registry.encoders.get(config.name).raw)


def _check_without_task(recipe: Recipe) -> None:
    if not any(config.weight for config in recipe.distillers.values()):
        raise UserError(
            "task.kind: none learns from loss terms alone, and the recipe has none with a weight above 0; "
            "add one under distillers, or choose a task"
        )
    if recipe.teacher.kind in ("trained", "ensemble"):
        raise UserError(
            f"teacher.kind: {recipe.teacher.kind} needs a task, and task.kind is none; use none, self, ema or run"
        )


def _check(recipe: Recipe, label: str, name: str, component: type[Distiller]) -> None:
    gives = registry.fusions.get(recipe.model.fusion.name).gives
    where = f"distillers.{label}: '{name}'"
    if not issubclass(gives, component.reads):
        raise UserError(
            f"{where} reads {component.reads.__name__}, but fusion '{recipe.model.fusion.name}' gives "
            f"{gives.__name__}; choose a fusion that gives {component.reads.__name__} (see `mmsa list`)"
        )
    if isinstance(recipe.task, NoTask) and (component.targets or component.responses):
        what = "the targets" if component.targets else "class responses"
        raise UserError(f"{where} reads {what}, and task.kind none has none; use another term, or choose a task")
    if component.responses and isinstance(recipe.task, Regression):
        raise UserError(
            f"{where} compares class responses, and task.kind regression has none; "
            "use task.kind: bins (a score in classes) or another term"
        )
    if component.needs_teacher and recipe.teacher.kind == "none":
        raise UserError(f"{where} needs a teacher; set for example teacher.kind: trained, or remove the term")
    if component.representations and recipe.teacher.kind == "ensemble":
        raise UserError(
            f"{where} compares representations, and an ensemble of runs has only averaged responses; "
            "use one run as the teacher, or a term on responses such as kd"
        )


def check_predictions(student: Outputs, teacher: Outputs) -> None:
    """Refuse a teacher that predicts something else."""
    if student.logits.shape != teacher.logits.shape:
        raise UserError(
            f"teacher: its predictions are {teacher.logits.shape[1]} wide, the student's {student.logits.shape[1]}; "
            "train the teacher with the same task and number of classes"
        )


def rehearse(terms: nn.ModuleDict, student: Outputs, teacher: Outputs, batch: Batch, seed: int) -> None:
    """Run every term once on a small batch, so that shapes that do not fit are found before training.

    It also gives lazy modules their sizes and weights, from `seed` and the term's name.
    """
    for label, term in terms.items():
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(derive(seed, "rehearsal", label))
                term(student, teacher, batch)
        except RuntimeError as error:
            if limits.explained(error):  # memory ran out
                raise
            raise UserError(
                f"distillers.{label}: the term does not fit student (joint {tuple(student.joint.shape)}) and teacher "
                f"(joint {tuple(teacher.joint.shape)}): {error}. Give both the same model.dim and modalities, or use "
                "a term that projects, such as feature"
            ) from error
