"""The stages of one seed: the teacher (trained, loaded or averaged), then the student with its loss terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mmsa_core import assemble
from mmsa_core.corpora import batching, data
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.missing import derive
from mmsa_core.model import Model
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.sections import ModelSection
from mmsa_core.recipes.teachers import EmaTeacher, EnsembleTeacher, RunTeacher, SelfTeacher, TrainedTeacher
from mmsa_core.run_folder import checkpoint, sealed
from mmsa_core.tasks import NoTask
from mmsa_core.training import earlier
from mmsa_core.training.initialization import initialise
from mmsa_core.training.runner import Trainer
from mmsa_core.training.saving import Saver
from mmsa_core.training.teacher import Average, Fixed, Myself, Teacher, ensemble
from mmsa_core.training.terms import Terms
from mmsa_core.training.watcher import Watcher
from mmsa_core.training.world import ALONE, World
from mmsa_core.types import Batch, Modality, Outputs


@dataclass(frozen=True)
class Stages:
    """What the stages of one seed need: recipe, data on the device without the test split, seed, and who watches."""

    recipe: Recipe
    data: data.Training
    seed: int
    device: torch.device
    watcher: Watcher
    saver: Callable[[str], Saver] | None = None
    """What keeps the states of a stage; None keeps none."""
    world: World = ALONE
    """The processes that train together."""

    @property
    def train(self) -> Split:
        """The training split."""
        return self.data.train

    @property
    def valid(self) -> Split:
        """The validation split."""
        return self.data.valid

    def rehearse(self) -> None:
        """Build everything and run it once on a few samples, so that parts that do not fit are found now.

        A teacher that will be trained is stood in for by its untrained network.

        Raises:
            UserError: naming the part and the key of the recipe.
        """
        network = self.network(self.recipe.model, "student", self.train)
        chosen = self.recipe.teacher
        teacher: Teacher | None
        if isinstance(chosen, TrainedTeacher):
            stand_in = self.network(chosen.model or self.recipe.model, "teacher", self._teachers(chosen)[0])
            teacher = self._fixed(stand_in.eval().requires_grad_(False), stand_in)
        else:
            teacher, _ = self.teacher(network, keep=False)
        logits, target = self._try(network, teacher, self.modules(network))
        measured = ["loss", *self.recipe.task.metrics(logits, target)]
        for where, select in self._selects().items():
            if select not in measured:
                raise UserError(f"{where}: no validation value '{select}'; choose one of: {', '.join(measured)}")

    def student(self) -> tuple[Trainer, Model | None]:
        """The student's trainer, ready to fit, and the teacher's network where it was trained for it."""
        network = self.network(self.recipe.model, "student", self.train)
        teacher, taught = self.teacher(network)
        modules = self.modules(network)
        self._try(network, teacher, modules)  # gives lazy modules their sizes
        return self.trainer(network, teacher, modules), taught

    def trainer(self, network: Model, teacher: Teacher | None, modules: nn.ModuleDict) -> Trainer:
        """What trains a student with this teacher and these loss terms."""
        recipe = self.recipe
        configs = recipe.distillers.items()
        terms = Terms(
            modules=modules,
            weights={label: config.weight for label, config in configs},
            optimizers={label: config.optimizer for label, config in configs},
            gradients_every=recipe.log.gradients_every,
        )
        return Trainer(
            "student",
            network,
            recipe.task,
            recipe.train,
            self.seed,
            teacher=teacher,
            masker=assemble.masker(recipe, self.train),
            terms=terms,
            watcher=self.watcher,
            bucket=self.recipe.data.bucket,
            workers=self.recipe.data.workers,
            saver=self.saver("student") if self.saver else None,
            world=self.world,
        )

    def network(self, section: ModelSection, role: str, train: Split) -> Model:
        """A network on the device with its first weights, standardised by a training split."""
        unknown = [m for m in section.encoders if m not in self.data.channels]
        if unknown:
            raise UserError(
                f"teacher.model.encoders: '{unknown[0]}' is not among the modalities that model.encoders names: "
                f"{', '.join(self.data.channels)}"
            )
        network = self._built(section, role, self.data.limits)  # refuses what could not be tested
        if not network.fixed_length and self.data.lengths != self.data.limits:
            network = self._built(section, role, self.data.lengths)
        network = network.to(self.device)
        if section.init is not None:
            run = earlier.folder(section.init.run, self.seed, "model.init")
            self.watcher.note(f"{role}: {initialise(network, run)}")
            about = run / "provenance.json"
            if about.is_file() and (said := sealed.altered(run, checkpoint.read_json(about))):
                self.watcher.warn(f"model.init: {said}")
        network.fit_statistics(train, scale=self.recipe.data.normalize == "standard")
        return network

    def _built(self, section: ModelSection, role: str, lengths: Mapping[Modality, int]) -> Model:
        channels = {m: self.data.channels[m] for m in section.encoders}
        return assemble.model(section, self.recipe.task, channels, lengths, derive(self.seed, role))

    def modules(self, student: Model) -> nn.ModuleDict:
        """The loss terms beside the task's, for a student of these sizes."""
        return assemble.distillers(self.recipe, self.data.channels, student.lengths, self.seed).to(self.device)

    def teacher(self, student: Model, keep: bool = True) -> tuple[Teacher | None, Model | None]:
        """The teacher that the recipe asks for, and its network where it was trained here."""
        chosen, task = self.recipe.teacher, self.recipe.task
        taught = None
        if isinstance(chosen, SelfTeacher):
            return Myself(), None
        if isinstance(chosen, EmaTeacher):
            return Average(student, chosen.decay, self.world), None
        if isinstance(chosen, TrainedTeacher):
            taught = self._train_teacher(chosen)
            fixed = self._fixed(taught, taught)
        elif isinstance(chosen, RunTeacher):
            loaded = self._loaded(chosen.run)
            fixed = self._fixed(loaded, loaded)
        elif isinstance(chosen, EnsembleTeacher):
            networks = [self._loaded(run) for run in chosen.runs]
            fixed = self._fixed(ensemble(networks, task), *networks)
        else:
            return None, None
        if chosen.cache and keep:
            fixed.keep(self.train, task)
        return fixed, taught

    def _fixed(self, network: Callable[[Batch], Outputs], *models: Model) -> Fixed:
        lengths = {
            m: max(n, *(batching.needed(each).get(m, 1) for each in models)) for m, n in self.data.lengths.items()
        }
        reads = assemble.read_of_teacher(self.recipe)
        return Fixed(self.world.spread(network), self.recipe.train.batch_size, reads, lengths=lengths)

    def _try(self, network: Model, teacher: Teacher | None, modules: nn.ModuleDict) -> tuple[Tensor, Tensor]:
        """A step on a few samples without learning from it; logits and targets."""
        lengths = batching.lengths_of(self.train, network)
        probe = next(batching.batches(self.train, self.recipe.task, min(4, len(self.train)), lengths=lengths))
        masker = assemble.masker(self.recipe, self.train)
        network.eval()
        with torch.no_grad():
            outputs = network(masker(probe, data.NO_DRAW) if masker else probe)
            taught = teacher(probe, outputs) if teacher else outputs
        if modules and not isinstance(self.recipe.task, NoTask):
            assemble.check_predictions(outputs, taught)
        assemble.rehearse(modules, outputs, taught, probe, self.seed)
        return outputs.logits, probe.target

    def _selects(self) -> dict[str, str]:
        found = {"train.select": self.recipe.train.select}
        if isinstance(self.recipe.teacher, TrainedTeacher) and self.recipe.teacher.train:
            found["teacher.train.select"] = self.recipe.teacher.train.select
        return found

    def _teachers(self, chosen: TrainedTeacher) -> tuple[Split, Split]:
        """What the teacher is trained and validated on."""
        if chosen.require == "any":
            return self.train, self.valid
        train, valid = data.complete(self.train), data.complete(self.valid)
        if not len(train) or not len(valid):
            raise UserError(
                f"teacher.require: complete leaves {len(train)} training and {len(valid)} validation samples "
                f"that have all of {', '.join(self.data.channels)}; use require: any"
            )
        return train, valid

    def _train_teacher(self, chosen: TrainedTeacher) -> Model:
        train, valid = self._teachers(chosen)
        if chosen.require == "complete":
            self.watcher.note(f"the teacher learns from the {len(train)} training samples with every modality")
        network = self.network(chosen.model or self.recipe.model, "teacher", train)
        settings = chosen.train or self.recipe.train
        masks = assemble.masker(self.recipe, self.train) if chosen.validate_on == "masked" else None
        Trainer(
            "teacher",
            network,
            self.recipe.task,
            settings,
            self.seed,
            validation_masker=masks,
            watcher=self.watcher,
            bucket=self.recipe.data.bucket,
            workers=self.recipe.data.workers,
            saver=self.saver("teacher") if self.saver else None,
            world=self.world,
        ).fit(train, valid)
        return network.eval().requires_grad_(False)

    def taught_by(self) -> dict[str, str]:
        """The run folders that teach, with the SHA-256 of their weights."""
        chosen = self.recipe.teacher
        runs: tuple[Path, ...] = (chosen.run,) if isinstance(chosen, RunTeacher) else ()
        if isinstance(chosen, EnsembleTeacher):
            runs = chosen.runs
        return earlier.digests(earlier.folder(run, self.seed, "teacher") for run in runs)

    def initialised_from(self) -> dict[str, str]:
        """The run folders that networks start from, with the SHA-256 of their weights."""
        chosen, sections = self.recipe.teacher, [self.recipe.model]
        if isinstance(chosen, TrainedTeacher) and chosen.model is not None:
            sections.append(chosen.model)
        runs = [section.init.run for section in sections if section.init is not None]
        return earlier.digests(earlier.folder(run, self.seed, "model.init") for run in runs)

    def _loaded(self, run: Path) -> Model:
        """The student of an earlier run, checked against the data at hand."""
        loaded = checkpoint.rebuild(earlier.folder(run, self.seed, "teacher"))
        if said := sealed.altered(loaded.folder, loaded.provenance):
            self.watcher.warn(f"teacher: {said}")
        where = f"teacher: the network in {loaded.folder}"
        data.check_widths(where, loaded.channels, self.data.channels)
        if loaded.recipe.task != self.recipe.task and not isinstance(self.recipe.task, NoTask):
            raise UserError(
                f"{where} was trained for another task ({loaded.recipe.task!r}) than this recipe's "
                f"({self.recipe.task!r}); use the same task"
            )
        return loaded.model.to(self.device)
