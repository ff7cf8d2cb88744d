"""IMDer (Wang et al., NeurIPS 2023; mdswyz/IMDer, 1901a92): whole batches lose the same modalities.

Of the batches of a pass the first ones keep one modality, the next ones two, the rest all three: so many that their
shares of the number of batches, rounded to tens, are those of a table. The schedule is exact. Which modalities a batch
keeps comes from Python's generator in whatever state training left it, and the loader shuffles the test split too:
neither can be replayed. Here the generator starts from `seed` and batches are those of the stored order.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
AVERAGE = ("avg{n}", "mean")
BATCH = 32
"""The published batch size on CMU-MOSI (on CMU-MOSEI it is 128)."""
SEED = 1111
SHARES = {
    0.0: (0.0, 0.0, 1.0),
    0.1: (0.1, 0.1, 0.8),
    0.2: (0.2, 0.2, 0.6),
    0.3: (0.3, 0.3, 0.4),
    0.4: (0.5, 0.2, 0.3),
    0.5: (0.7, 0.1, 0.2),
    0.6: (0.9, 0.0, 0.1),
    0.7: (1.0, 0.0, 0.0),
}
"""Share of batches that keep one, two and three modalities. The code has no row for 0; see `schedule`."""


def schedule(batches: int, rate: float) -> NDArray[np.int64]:
    """How many modalities each batch of a pass keeps, to the letter.

    Fewer than five batches round to zero tens: the code divides by zero, and nothing is missing at any rate. Its rate 0
    reads the last row of the table and is the rate 0.7.
    """
    one, two, _ = SHARES[RATES[int(rate * 10 - 1)]]
    tens = np.round(batches / 10) * 10
    kept: list[int] = []
    for _ in range(batches):
        if tens and kept.count(1) / tens < one:
            kept.append(1)
        elif tens and kept.count(2) / tens < two:
            kept.append(2)
        else:
            kept.append(3)
    return np.array(kept, dtype=np.int64)


def masks(valid: Sequence[NDArray[np.bool_]], rate: float, seed: int | None = None) -> list[NDArray[np.bool_]]:
    """What is kept of each modality, given in the order text, audio, vision, as the published code would."""
    samples = len(valid[0])
    source = random.Random(SEED if seed is None else seed)  # noqa: S311 - the published generator
    kept = np.zeros((samples, 3), dtype=bool)  # columns in the code's order: text, vision, audio
    for number, count in enumerate(schedule(-(-samples // BATCH), rate)):
        kept[number * BATCH : (number + 1) * BATCH, source.sample(range(3), int(count))] = True
    columns = (0, 2, 1)
    return [np.repeat(kept[:, c : c + 1], each.shape[1], axis=1) for c, each in zip(columns, valid, strict=True)]
