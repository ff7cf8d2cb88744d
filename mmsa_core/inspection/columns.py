"""Range and spread of feature columns, added up block by block."""

import numpy as np

from mmsa_core.inspection.blocks import Array


class Columns:
    """Range and spread of each column's finite values, added up block by block."""

    def __init__(self, channels: int) -> None:
        self.count = np.zeros(channels, dtype=np.int64)
        self.shift: Array | None = None
        self.sum, self.squares = np.zeros(channels), np.zeros(channels)
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)

    def add(self, x: Array) -> None:
        if not len(x):
            return
        finite = np.isfinite(x)
        if self.shift is None:  # sums of squares lose no digits where a column is far from zero
            self.shift = np.where(finite[0], x[0], 0).astype(np.float64)
        self.count += finite.sum(axis=0)
        self.low = np.minimum(self.low, np.where(finite, x, np.inf).min(axis=0))
        self.high = np.maximum(self.high, np.where(finite, x, -np.inf).max(axis=0))
        moved = np.where(finite, x, self.shift).astype(np.float64) - self.shift
        self.sum += moved.sum(axis=0)
        self.squares += np.einsum("fc,fc->c", moved, moved)

    def constant(self) -> tuple[int, ...]:
        """Of two and more values; one alone has no spread that could be looked at."""
        return tuple(np.nonzero((self.count > 1) & (self.low == self.high))[0].tolist())

    def extremes(self) -> tuple[float | None, float | None]:
        some = self.count > 0
        return (float(self.low[some].min()), float(self.high[some].max())) if some.any() else (None, None)

    def deviations(self) -> tuple[float, ...]:
        some = (self.count > 1) & (self.low < self.high)
        if not some.any():
            return ()
        n = self.count[some]
        variance = self.squares[some] / n - (self.sum[some] / n) ** 2
        spread = np.sqrt(np.maximum(variance, 0))
        return tuple(float(q) for q in np.quantile(spread, [0, 0.25, 0.5, 0.75, 1]))
