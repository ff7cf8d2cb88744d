"""What `mmsa sweep` does: trials are drawn, trained elsewhere, judged by validation, and the best recipe is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.execution.executor import Executor, Failure, Running
from mmsa_core.execution.local import Local
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, lock
from mmsa_core.sweeps import candidates, outcome, sweep_file, trial_job
from mmsa_core.sweeps.observing import Observed
from mmsa_core.sweeps.study import Study
from mmsa_core.sweeps.sweep_file import Loaded
from mmsa_core.training import component_log, experiment
from mmsa_core.training.stopping import Stop

PERIOD = 0.2
"""Seconds between looks at how trials are doing."""
TRIALS, LOGS = "trials", "logs"


@dataclass
class Trial:
    """A trial that is trained somewhere."""

    job: Running
    observed: Observed
    restarts: int = 0
    pruned: bool = False
    judged: int = 0
    """The last step that was looked at."""


@dataclass
class Sweeping:
    """A sweep that is under way."""

    loaded: Loaded
    folder: Path
    study: Study
    executor: Executor
    at_once: int
    device: str
    command: str
    display: Display
    stop: Stop
    locked: lock.Handed | None
    running: dict[int, Trial] = field(default_factory=dict)
    failed: int = 0
    """Trials in a row."""

    def run(self) -> None:
        """Train until all trials have ended.

        Raises:
            UserError: when too many in a row failed.
            Interrupted: when an end was asked for.
        """
        again = self.study.unfinished()
        try:
            while not self.stop():
                while len(self.running) < self.at_once and (again or len(self.study.trials) < self.study.wanted):
                    number = again.pop(0) if again else self.study.ask()
                    if (begun := self._begin(number)) is not None:
                        self.running[number] = begun
                if not self.running:
                    return
                self.executor.wait([each.job for each in self.running.values()], PERIOD)
                for number, trial in list(self.running.items()):
                    self._look(number, trial)
            raise Interrupted
        finally:
            for trial in self.running.values():
                trial.job.terminate()
            for trial in self.running.values():
                trial.job.stop()

    def _begin(self, number: int, restarts: int = 0) -> Trial | None:
        """Start a trial, or go on with it."""
        params = self.study.params(number)
        try:
            recipe = candidates.trial(self.loaded, params, self.folder.name)
        except UserError as error:  # values that fit alone, and not together
            self._fail(number, str(error))
            return None
        folder = self.folder / TRIALS / f"{number:04d}"
        if not restarts:
            how = "goes on" if folder.exists() else "begins"
            self.display.note(f"trial {number} {how}: {outcome.shown(params)}")
        log = self.folder / LOGS / f"{number:04d}.log"
        described = recipe.model_dump(mode="json")
        given = (described, folder.absolute(), log.absolute(), self.device, self.command)
        job = self.executor.start(trial_job.train, given, f"trial {number}", self.locked)
        return Trial(job, Observed(folder, recipe, self.loaded.sweep.objective), restarts)

    def _look(self, number: int, trial: Trial) -> None:
        """Record how a trial does; end it if it is hopeless; when it has ended say how."""
        ended = trial.job.ended()  # asked before reading: then nothing more can come
        if not trial.pruned and self._hopeless(number, trial):
            trial.pruned = True
            trial.job.terminate()
        if not ended:
            return
        del self.running[number]
        failure = trial.job.close()
        if trial.pruned:
            self.failed = 0
            self.study.prune(number)
            self.display.note(f"trial {number} ended early, behind epoch {trial.judged}: others did better there")
        elif trial.job.interrupted or (failure is not None and failure.crashed):
            self._again(number, trial, failure)
        elif failure is not None:
            self._fail(number, failure.message)
        else:
            self._complete(number, trial.observed.outcome())
        self._write()

    def _hopeless(self, number: int, trial: Trial) -> bool:
        """Report the epochs that are new, one by one, so that it does not matter when they are looked at."""
        if self.loaded.sweep.objective.under == "complete":
            return False
        for step, value in sorted(trial.observed.steps().items()):
            if step > trial.judged:
                trial.judged = step
                self.study.report(number, step, value)
                if self.study.hopeless(number):
                    return True
        return False

    def _again(self, number: int, trial: Trial, failure: Failure | None) -> None:
        """A trial whose process was ended from outside goes on from its last state, some times."""
        if self.stop():
            return  # the trial stays unfinished
        why = failure.message if failure is not None else "its process was told to end"
        if trial.restarts == self.loaded.sweep.restarts:
            self._fail(number, why)
            return
        self.display.warn(f"trial {number}: {why}. It goes on (restart {trial.restarts + 1})")
        if (begun := self._begin(number, trial.restarts + 1)) is not None:
            self.running[number] = begun

    def _complete(self, number: int, values: Mapping[int, float]) -> None:
        value = sum(values.values()) / len(values)
        if value != value:  # NaN
            undefined = next(seed for seed, each in values.items() if each != each)
            self._fail(number, f"{self.loaded.sweep.objective.metric} is undefined on validation, seed {undefined}")
            return
        self.failed = 0
        self.study.complete(number, value, values)
        best = self.study.completed()[0]
        standing = "the best so far" if best.number == number else f"best: {best.value:.6g}, trial {best.number}"
        self.display.note(f"trial {number}: {self.loaded.sweep.objective.metric} {value:.6g} ({standing})")

    def _fail(self, number: int, message: str) -> None:
        self.failed += 1
        self.study.fail(number, message)
        self.display.warn(f"trial {number} failed: {message}")
        if self.failed == self.loaded.sweep.failures:
            raise UserError(
                f"{self.failed} trials in a row failed, the last one, {number}, of: {message}\n"
                f"what each printed is in {self.folder / LOGS}; the same command with --resume goes on behind them"
            )

    def _write(self) -> None:
        checkpoint.write_text(self.folder / "trials.csv", outcome.csv(self.study, self.loaded.sweep))


def run(
    loaded: Loaded,
    out: Path | None,
    device: torch.device,
    command: str,
    display: Display,
    processes: int | None = None,
    resumed: bool = False,
    executor: Executor | None = None,
) -> Path:
    """Search, and write what was found; returns the sweep's folder.

    Raises:
        UserError: for a space that does not fit the recipe, before anything trains.
        Interrupted: when SIGINT or SIGTERM asked for an end; the trials' states are saved.
    """
    folder = _folder(loaded, out, resumed)
    with component_log.shown(display.warn):
        base = candidates.check(loaded, device, display)
    executor = executor or Local()
    at_once = processes or max(1, 1 if device.type == "cuda" else executor.capacity // (base.threads or 1))
    try:
        with lock.held(folder, display.warn) as handle, Stop().heard() as stop:
            _record(folder, loaded, base)
            study = Study(folder, loaded.sweep)
            stop.patient = True
            sweeping = Sweeping(
                loaded, folder, study, executor, at_once, device.type, command, display, stop, lock.shared(handle)
            )
            sweeping.run()
            outcome.write(folder, study, loaded, display)
    except Interrupted as error:
        raise Interrupted(f"what was done is saved; the same command with --out {folder} --resume goes on") from error
    finally:
        executor.close()
    return folder


def _folder(loaded: Loaded, out: Path | None, resumed: bool) -> Path:
    if resumed and out is None:
        raise UserError("--resume: name the folder of the sweep that is to go on, with --out")
    if resumed and out is not None and (out / "sweep.yaml").is_file():
        return out
    named = candidates.trial(loaded, {}, "").model_copy(update={"name": loaded.sweep.name})
    return experiment.free_folder(named, out)


FREE = ("trials", "failures", "restarts", "recipe", "set", "track", "save")
"""What may differ when a sweep goes on; the recipe itself may not, wherever its file lies."""


def _record(folder: Path, loaded: Loaded, base: Recipe) -> None:
    """Write down what the sweep is of, or refuse to go on with another one."""
    made: dict[str, Any] = {"sweep": loaded.sweep.model_dump(mode="json"), "recipe": base.model_dump(mode="json")}
    path = folder / "sweep.json"
    if path.is_file():
        there = checkpoint.read_json(path)
        for part, own in made.items():
            other = there.get(part, {})
            for key in dict.fromkeys((*own, *other)):
                if key not in FREE and own.get(key) != other.get(key):
                    raise UserError(
                        f"--resume: {folder} is of another {part}: {key} is {other.get(key)} there, {own.get(key)} "
                        "here. Nothing was changed; name a new folder with --out"
                    )
    checkpoint.write_json(path, made)
    checkpoint.write_text(folder / "sweep.yaml", sweep_file.dump(loaded.sweep))
