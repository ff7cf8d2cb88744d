"""A metric with the arrays that it is of: its value on the samples as they are, and on resamples of them.

`metrics.py` says which arrays; a task gives its metrics as measures by name, so that a table and its
intervals can only be of the same thing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmsa_core.statistics.counted import Array, Counts, Values

Plain = Callable[[Array, Array], float | None]
Counted = Callable[[Array, Array, Counts], Values]


class Measure(ABC):
    """One metric of one model on one set of samples."""

    @abstractmethod
    def value(self) -> float | None:
        """The metric on the samples as they are; None where it is undefined."""

    @abstractmethod
    def resampled(self, counts: Counts) -> Values:
        """The metric of every resample, from how often it has each sample; nan where it is undefined."""


@dataclass(frozen=True)
class Paired(Measure):
    """A metric of two arrays, such as truth and prediction."""

    plain: Plain
    counted: Counted
    first: Array
    second: Array
    kept: Array | None = None
    """Which samples count; by default all. The others, such as those of label zero, are left out first."""

    def value(self) -> float | None:
        return self.plain(*self._kept())

    def resampled(self, counts: Counts) -> Values:
        first, second = self._kept()
        if not len(first):  # no samples, or a model that has diverged
            return np.full(counts.shape[1], np.nan)
        return self.counted(first, second, counts if self.kept is None else counts[self.kept])

    def _kept(self) -> tuple[Array, Array]:
        return (self.first, self.second) if self.kept is None else (self.first[self.kept], self.second[self.kept])


@dataclass(frozen=True)
class MeanOf(Measure):
    """The mean of measures over those that are defined, such as one-versus-rest AUC over the classes present."""

    parts: Sequence[Measure]

    def value(self) -> float | None:
        defined = [value for part in self.parts if (value := part.value()) is not None]
        return float(np.array(defined).mean()) if defined else None

    def resampled(self, counts: Counts) -> Values:
        each = np.stack([part.resampled(counts) for part in self.parts])
        defined = ~np.isnan(each)
        total, number = np.where(defined, each, 0.0).sum(axis=0), defined.sum(axis=0)
        mean: Values = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
        return mean


def values(measures: Mapping[str, Measure]) -> dict[str, float | None]:
    """Each measure's value on the samples as they are."""
    return {name: measure.value() for name, measure in measures.items()}
