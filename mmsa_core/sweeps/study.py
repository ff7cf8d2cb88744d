"""The optimiser's side of a sweep: optuna, whose record of all trials lies in the sweep's folder.

The record is a file of lines that only grows: a kill costs at most the line that was being written. Whoever writes it
holds the lock of the folder, so that it needs none of its own.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mmsa_core.errors import UserError
from mmsa_core.missing import derive
from mmsa_core.sweeps import space
from mmsa_core.sweeps.space import Categorical, Float, Int, Scalar
from mmsa_core.sweeps.sweep import Grid, Halving, Median, Sweep, Tpe

try:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise UserError(f"mmsa sweep needs optuna ({error}): pip install 'mmsa-core[sweep]'") from error

FILE = "study.journal"


class _Unlocked:
    """The folder's lock is held already; one of the file's own would outlive a kill."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Study:
    """All trials of a sweep, on disk."""

    def __init__(self, folder: Path, sweep: Sweep) -> None:
        self.sweep, path = sweep, folder / FILE
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a line that a power cut left torn
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        lock: Any = _Unlocked()
        self._storage = optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        self._direction: Literal["minimize", "maximize"] = "minimize" if sweep.objective.minimised else "maximize"
        self.study = optuna.create_study(
            study_name=sweep.name,
            storage=self._storage,
            direction=self._direction,
            load_if_exists=True,
            pruner=_pruner(sweep),
        )
        self._distributions = {key: _distribution(each) for key, each in sweep.space.items()}
        self._grid = space.grid(sweep.space) if isinstance(sweep.sampler, Grid) else []
        self.wanted = sweep.trials or len(self._grid)
        if self._grid:
            self.wanted = min(self.wanted, len(self._grid))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return self.study.get_trials(deepcopy=False)

    def unfinished(self) -> list[int]:
        """The trials that were begun and not ended."""
        return [each.number for each in self.trials if each.state == TrialState.RUNNING]

    def ask(self) -> int:
        """Draw the values of a new trial, and record it; returns its number.

        They depend on the sampler's seed, the number and the trials before alone, so that a sweep that was killed goes
        on as if it had not been.
        """
        number = len(self.trials)
        params = self._grid[number] if self._grid else self._drawn(number)
        made = optuna.trial.create_trial(
            state=TrialState.WAITING, params=params, distributions=dict(self._distributions)
        )
        made.state, made.datetime_start = TrialState.RUNNING, datetime.now()
        self.study.add_trial(made)  # in one line: it is there with all of its values, or not at all
        return number

    def _drawn(self, number: int) -> dict[str, Any]:
        chosen = self.sweep.sampler
        assert not isinstance(chosen, Grid)
        seed = derive(chosen.seed, "sweep", number) % 2**32
        if isinstance(chosen, Tpe):
            sampler: Any = optuna.samplers.TPESampler(seed=seed, n_startup_trials=chosen.startup)
        else:
            sampler = optuna.samplers.RandomSampler(seed=seed)
        before = optuna.create_study(direction=self._direction, sampler=sampler)
        before.add_trials(self.trials)
        return before.ask(self._distributions).params

    def params(self, number: int) -> dict[str, Scalar]:
        """The values of a trial."""
        return dict(self.trials[number].params)

    def report(self, number: int, step: int, value: float) -> None:
        """Record how good a trial was at a step; a step that is there already is left as it is."""
        if step not in self.trials[number].intermediate_values:
            self._storage.set_trial_intermediate_value(self.trials[number]._trial_id, step, value)

    def hopeless(self, number: int) -> bool:
        """Whether a trial should end, by what was reported of it last."""
        return bool(self.study.pruner.prune(self.study, self.study.get_trials()[number]))

    def complete(self, number: int, value: float, each: Mapping[int, float]) -> None:
        """A trial was trained to its end; `each` is the value of each seed."""
        self._note(number, "seeds", {str(seed): found for seed, found in each.items()})
        self.study.tell(number, value)

    def prune(self, number: int) -> None:
        """A trial was ended as hopeless."""
        self.study.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int, message: str) -> None:
        """A trial could not be trained."""
        self._note(number, "message", message)
        self.study.tell(number, state=TrialState.FAIL)

    def _note(self, number: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self.trials[number]._trial_id, key, value)

    def completed(self) -> list[FrozenTrial]:
        """The trials that have a value, the best one first; of equals the earlier."""
        sign = 1 if self.sweep.objective.minimised else -1
        found = [each for each in self.trials if each.state == TrialState.COMPLETE]
        return sorted(found, key=lambda each: (sign * (each.value or 0.0), each.number))

    def importances(self) -> dict[str, float]:
        """How much of the variance of the objective each key accounts for (fANOVA); nothing where that is unknown."""
        if len({each.value for each in self.completed()}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(self.study, evaluator=evaluator))


def _distribution(dimension: space.Dimension) -> Any:
    if isinstance(dimension, Categorical):
        return CategoricalDistribution([space.label(choice) for choice in dimension.choices])
    if isinstance(dimension, Int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step or 1)
    assert isinstance(dimension, Float)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _pruner(sweep: Sweep) -> Any:
    chosen = sweep.pruner
    if isinstance(chosen, Median):
        return optuna.pruners.MedianPruner(n_startup_trials=chosen.startup, n_warmup_steps=chosen.warmup)
    if isinstance(chosen, Halving):
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=chosen.epochs, reduction_factor=chosen.keep)
    return optuna.pruners.NopPruner()
