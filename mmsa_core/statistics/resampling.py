"""Which samples and which seeds a resample holds: the pigeonhole bootstrap (Owen, Annals of Applied Statistics 2007).

Two things differ when an experiment is repeated, the samples of the test split and the seeds of training, and every
seed is tested on the same samples. So a resample draws samples with replacement, the same ones for all runs, conditions
and seeds, and it draws seeds with replacement. Samples of one video are not independent: where ids tell the video,
whole videos are drawn. Of n seeds or videos n - 1 are drawn, because the mean of n draws from n varies by a factor of
(n - 1) / n too little (Rao and Wu, JASA 1988), which counts where n is small.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mmsa_core.statistics.counted import Array, Counts

CHUNK = 1000
"""So many resamples are worked on at once: they fit the cache."""

Weights = Float[Array, "seeds resamples"]
"""The share of each seed in each resample."""


@dataclass(frozen=True)
class Resampling:
    """How many resamples are drawn, from which random source, and what is drawn with replacement.

    `unit` [samples] numbers what each sample is drawn with: its video, or itself.
    """

    resamples: int
    seed: int
    unit: Int[Array, " samples"]

    @property
    def units(self) -> int:
        """How many there are to draw from."""
        return int(self.unit.max()) + 1

    def samples(self) -> Iterator[Counts]:
        """How often each sample is in each resample, some resamples at a time; the same for every run."""
        rng = np.random.default_rng([self.seed, 0])
        for start in range(0, self.resamples, CHUNK):
            size = min(CHUNK, self.resamples - start)
            yield _drawn(rng, self.units, size)[self.unit].astype(np.float64)

    def seeds(self, names: Sequence[int]) -> Weights:
        """The share of each seed; runs of the same seeds draw the same ones, others draw independently."""
        words = [word for name in names for word in divmod(name % 2**64, 2**32)]
        rng = np.random.default_rng([self.seed, 1, *words])
        drawn = _drawn(rng, len(names), self.resamples)
        share: Weights = drawn / drawn.sum(axis=0)
        return share


def _drawn(rng: np.random.Generator, n: int, size: int) -> Int[Array, "units resamples"]:
    """How often each of n is drawn."""
    return rng.multinomial(max(1, n - 1), np.full(n, 1 / n), size=size).T


def numbered(names: Sequence[Hashable]) -> Int[Array, " samples"]:
    """A number for each distinct name, in the order of their first appearance."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])
