"""The way of a batch: mask, teacher, student, loss terms, update; then the epoch: validate and pick.

Teacher and student are trained by the same `Trainer`; the teacher's has no masks and no terms.
"""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmsa_core.components import Masker
from mmsa_core.corpora.batching import batches, lengths_of, shuffled
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import Together
from mmsa_core.missing import Draw, derive
from mmsa_core.model import Model
from mmsa_core.recipes.sections import Train
from mmsa_core.tasks import NoTask, TaskBase
from mmsa_core.training import nonfinite, precision, restoring, step_log
from mmsa_core.training.complaints import complaints
from mmsa_core.training.nonfinite import EVERY, ROLLBACKS, Guard, NonFinite
from mmsa_core.training.optimization import Updates
from mmsa_core.training.progress import Progress
from mmsa_core.training.saving import Saver
from mmsa_core.training.teacher import Average, MovingAverage, Teacher
from mmsa_core.training.terms import Terms
from mmsa_core.training.validation import Validation
from mmsa_core.training.watcher import Watcher
from mmsa_core.training.world import ALONE, World
from mmsa_core.types import Batch


@dataclass(frozen=True)
class Fit:
    """How a training ended."""

    best_epoch: int
    best_value: float
    epochs: int


class Trainer:
    """Trains one network on a task, with whatever teacher, masks and loss terms it is given."""

    def __init__(
        self,
        stage: str,
        network: Model,
        task: TaskBase,
        train: Train,
        seed: int,
        *,
        teacher: Teacher | None = None,
        masker: Masker | None = None,
        validation_masker: Masker | None = None,
        terms: Terms | None = None,
        watcher: Watcher | None = None,
        bucket: int = 0,
        workers: int = 0,
        saver: Saver | None = None,
        world: World = ALONE,
    ) -> None:
        self.stage, self.network, self.task, self.train, self.seed = stage, network, task, train, seed
        self.teacher, self.masker, self.world = teacher, masker, world
        self.terms = terms or Terms()
        self.validation = Validation(stage, task, train, seed, validation_masker or masker, teacher, self.terms)
        self.watcher = watcher or Watcher()
        precision.check(train.precision, self._device)
        self.updates = Updates(train, network, self.terms, world)
        self.average = MovingAverage(network, train.ema_decay) if train.average == "ema" else None
        self.bucket, self.workers, self.saver = bucket, workers, saver
        self.progress = Progress()
        at_once = train.on_nonfinite != "stop" or self.updates.scale.moves or self._device.type == "cpu"
        self.guard = Guard(1 if at_once else EVERY)
        self._ids: Sequence[str] = ()
        self._epoch_began: dict[str, Any] = {}
        self._same: list[str] = []
        """What had one value in all steps of the last epoch."""

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def losses(self, batch: Batch, epoch: int) -> tuple[dict[str, Tensor], Batch]:
        """The unweighted terms of the objective for one batch, and the batch as the student saw it."""
        seen = self.masker(batch, Draw("train", self.seed, epoch)) if self.masker else batch
        network = partial(precision.run, self.network, precision=self.train.precision)
        student = self.world.run(network, seen, responses=not self.terms.modules)
        own = {} if isinstance(self.task, NoTask) else {"task": self.task.objective(student.logits, batch.target)}
        teacher = self.teacher(batch, student) if self.teacher else student
        return own | self.terms.values(student, teacher, seen), seen

    def step(self, batch: Batch, epoch: int, total_steps: int, update: bool = True) -> None:
        """Add a mini-batch's gradients to those since the last update of student and terms; then `update` them."""
        torch.manual_seed(derive(self.seed, self.stage, "dropout", self.progress.steps))
        values, seen = self.losses(batch, epoch)
        total, weighted = self.terms.objective(values)
        logged = {f"loss/{label}": value for label, value in values.items()}
        logged |= {f"weighted/{label}": value for label, value in weighted.items()} | {"loss/total": total}
        measured = bool(self.terms.gradients_every) and self.progress.steps % self.terms.gradients_every == 0
        if measured:
            on = self.updates.parameters
            logged |= {f"gradient/{n}": step_log.term_gradient(v, on, self.world) for n, v in weighted.items()}
        rate = self.updates.set_rates(self.progress.steps, total_steps, self.progress.rollbacks)
        self.updates.add(total)
        if measured:
            logged |= step_log.encoder_gradients(self.network)
        logged |= step_log.observations(self.terms)
        logged |= step_log.hidden_shares(batch, seen) if self.masker else {}
        self.progress.steps += 1
        meta = {"stage": self.stage, "step": self.progress.steps, "epoch": epoch, "lr": rate}
        self.progress.pending.append(step_log.pending(meta, logged))
        self.guard.add(self.progress.steps, batch.index, self.updates.largest)
        if update and self._fine(batch, epoch):
            self._update()
        self.watcher.step(self.stage)

    def _fine(self, batch: Batch | None, epoch: int, now: bool = False) -> bool:
        """Whether to move along the gradients: not where they are not finite and such updates are skipped.

        Raises:
            NonFinite: where training shall not go on like this.
        """
        bad = self.guard.look() if now or self.guard.due else None
        if bad is None:
            return True
        if self.updates.scale.overflowed():
            self._skip()
            return False
        step, index = bad
        rows = {row["step"]: row for row in step_log.rows(self.progress.pending)}
        message = f"{self.stage}: {nonfinite.culprits(rows[step])} at step {step} (epoch {epoch})"
        ids = [self._ids[row] for row in index.tolist()] if self._ids else list(map(str, index.tolist()))
        message += f", in a batch of {len(ids)} samples: {nonfinite.named(ids)}"
        if batch is not None and step == self.progress.steps and (own := self._own(batch, epoch)):
            message += f"; by themselves not finite: {nonfinite.named([ids[row] for row in own])}"
        if self.train.on_nonfinite != "skip":
            raise NonFinite(message)
        self._skip()
        self.watcher.warn(f"{message}. The update is skipped (train.on_nonfinite: skip)")
        return False

    def _skip(self) -> None:
        """Leave an update out."""
        self.updates.forget()
        self.progress.skipped += 1
        self.progress.pending[-1][0]["skipped"] = True

    def _own(self, batch: Batch, epoch: int) -> list[int]:
        """The samples of a batch whose prediction or own loss of the task is not finite, as the student saw them."""
        seen = self.masker(batch, Draw("train", self.seed, epoch)) if self.masker else batch
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(derive(self.seed, self.stage, "dropout", self.progress.steps - 1))
            logits = precision.run(self.network, seen, self.train.precision).logits
            fine = logits.isfinite().all(dim=1).tolist()
            if not isinstance(self.task, NoTask):
                each = zip(logits.unsqueeze(1), seen.target.unsqueeze(1), strict=True)
                own = [bool(self.task.objective(row, target).isfinite()) for row, target in each]
                fine = [one and other for one, other in zip(fine, own, strict=True)]
        return [row for row, whole in enumerate(fine) if not whole]

    def _update(self) -> None:
        """Move along the summed gradients; what follows the network's weights follows."""
        self.updates.update()
        if self.average is not None:
            self.average.update(self.network)
        if self.teacher is not None:
            self.teacher.updated(self.network)

    def fit(self, train: Split, valid: Split) -> Fit:
        """Train, and leave network and terms as they were in the epoch that validation picks.

        Where a state was saved, training goes on from it.
        """
        saved = self.saver.load() if self.saver else None
        if saved is not None:
            try:
                self.restore(saved)
            except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
                raise Together(
                    f"{self.stage}: the saved state is of another recipe ({type(error).__name__}: {error!s:.300}); "
                    "move the folder last/ of this seed away, and it is trained anew"
                ) from error
            self.watcher.note(f"{self.stage} goes on behind step {self.progress.steps}")
        self.watcher.begin(self.stage, self.train.epochs, -(-len(train) // self.train.batch_size))
        try:
            with torch.random.fork_rng():
                return self._fit(train, valid)
        finally:
            self.watcher.end(self.stage)

    def _fit(self, train: Split, valid: Split) -> Fit:
        now = self.progress
        now.best = now.best or self._state()
        while not now.finished:
            try:
                means = self._epoch(train, now.epoch + 1)
            except NonFinite as error:
                self._roll_back(str(error))
                now = self.progress
                continue
            now.epoch, now.batch, self._epoch_began = now.epoch + 1, 0, {}
            found = self.validate(valid)
            self.updates.validated(found["loss"])
            value = self.validation.criterion(found)
            if better := value < now.best_value or not now.best_epoch:
                now.best, now.best_value, now.best_epoch = self._state(), value, now.epoch
            row = {"stage": self.stage, "epoch": now.epoch, "step": now.steps, "best": better}
            row |= {f"train/{name}": mean for name, mean in means.items()}
            self.watcher.epoch(self.stage, row | {f"valid/{name}": v for name, v in found.items()})
            for warning in complaints(self.stage, self.terms, means, self._same, now.complaints):
                self.watcher.warn(warning)
            patience = self.train.patience
            now.finished = now.epoch >= self.train.epochs or bool(patience and now.epoch - now.best_epoch >= patience)
            if self.saver and (now.finished or self.saver.due(now.steps)):
                self.saver.save(self.state())
        if math.isinf(now.best_value):
            name = self.train.select
            self.watcher.warn(f"{self.stage}: {name} was undefined on validation in every epoch; the first one is kept")
        assert now.best is not None
        for module, state in zip((self.network, self.terms.modules), now.best, strict=True):
            module.load_state_dict(state)
        return Fit(best_epoch=now.best_epoch, best_value=now.best_value, epochs=now.epoch)

    def _roll_back(self, what: str) -> None:
        """Go back to where the epoch began, with the learning rates halved; or end the training."""
        if self.train.on_nonfinite == "stop" or self.progress.rollbacks == ROLLBACKS:
            self.watcher.rows(self.stage, step_log.rows(self.progress.pending))
            saved = self.saver.load() if self.saver else None
            good = "no state was saved before it"
            if saved is not None and self.saver is not None:
                good = f"the last good state is that behind step {saved['progress']['steps']}, in {self.saver.folder}"
            again = f" after {ROLLBACKS} rollbacks" if self.progress.rollbacks else ""
            raise Together(
                f"{what}. Training stops{again}; {good}. Lower train.lr, set train.clip, look at the data with "
                "data.normalize: standard, or set train.on_nonfinite to skip or rollback"
            )
        times = self.progress.rollbacks + 1
        self.guard.waiting.clear()
        self.updates.forget()
        self.restore(deepcopy(self._epoch_began))
        self.progress.rollbacks = times
        where = f"behind step {self.progress.steps}, where the epoch began"
        self.watcher.warn(
            f"{what}. Back to {where}, with the learning rates halved (rollback {times} of at most {ROLLBACKS})"
        )
        if self.saver:
            self.saver.save(self.state())

    def _epoch(self, train: Split, epoch: int) -> dict[str, float]:
        """Every sample once, in an order that seed and epoch decide; the means of what was logged.

        Mini-batches that were done before a state was saved are not done again.
        """
        self.network.train()
        self.terms.modules.train()
        size, done = self.train.batch_size, self.progress.batch
        self._ids = train.ids
        if self.train.on_nonfinite == "rollback" and not done:
            self._epoch_began = deepcopy(self.state(whole=False))
        source = torch.Generator().manual_seed(derive(self.seed, self.stage, "order", epoch))
        order = shuffled(train, size, self.bucket, source)
        count = -(-len(train) // size)
        made = batches(train, self.task, size, order[done * size :], lengths_of(train, self.network), self.workers)
        for n, batch in enumerate(made, start=done + 1):
            update = n % self.train.accumulate == 0 or n == count
            self.step(batch, epoch, count * self.train.epochs, update)
            self.progress.batch = n
            if self.saver and update and n < count and self.saver.due(self.progress.steps):
                self._fine(None, epoch, now=True)  # what is saved is good
                self.saver.save(self.state())
        self._fine(None, epoch, now=True)
        return self._flush()

    def state(self, whole: bool = True) -> dict[str, Any]:
        """Everything that the next step depends on; `whole`: where the epoch began too, if that may be gone back to."""
        began = {"epoch_began": self._epoch_began} if whole and self._epoch_began else {}
        return began | {
            "network": self.network.state_dict(),
            "terms": self.terms.modules.state_dict(),
            "updates": self.updates.state(),
            "averages": [each.state_dict() for each in self._averages()],
            "progress": self.progress.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.terms.modules.load_state_dict(state["terms"])
        self.updates.restore(state["updates"])
        for each, saved in zip(self._averages(), state["averages"], strict=True):
            each.load_state_dict(saved)
        self.progress = restoring.progress(state["progress"], self.network, self.terms.modules)
        self._epoch_began = state.get("epoch_began", self._epoch_began)
        self.progress.pending = [(row, names, values.to(self._device)) for row, names, values in self.progress.pending]

    def _averages(self) -> list[nn.Module]:
        """The networks that follow the student's weights."""
        teacher = [self.teacher.average] if isinstance(self.teacher, Average) else []
        return [each for each in (self.average, *teacher) if each is not None]

    def validate(self, valid: Split) -> dict[str, float | None]:
        """Loss and metrics on the validation split under the recipe's masks, averaged over its draws."""
        return self.world.told(self.validation(self._kept(), valid))

    def _kept(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights, where the recipe asks for one."""
        return self.average.network if self.average is not None else self.network

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Copies of the weights of the network that is kept and of the terms."""
        network, terms = (
            {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
            for module in (self._kept(), self.terms.modules)
        )
        return network, terms

    def _flush(self) -> dict[str, float]:
        """Bring the epoch's logged scalars to the host at once; their means."""
        rows = step_log.rows(self.progress.pending)
        self.progress.pending.clear()
        self.watcher.rows(self.stage, rows)
        series = step_log.series([row for row in rows if not row.get("skipped")])
        for name in step_log.partly_finite(series):
            self.watcher.warn(f"{self.stage}: {name} is not finite in some steps, which its means leave out")
        self._same = step_log.constant(series)
        return step_log.means(series)
