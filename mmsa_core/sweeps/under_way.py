"""The trials of a sweep that is under way: begun, watched, ended early or begun again, and recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.execution.executor import Executor, Failure, Running
from mmsa_core.run_folder import checkpoint, lock
from mmsa_core.sweeps import candidates, outcome, trial_job
from mmsa_core.sweeps.observing import Observed
from mmsa_core.sweeps.study import Study
from mmsa_core.sweeps.sweep_file import Loaded
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
