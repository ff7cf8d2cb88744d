"""The masks of a published code for a split, as conditions to write."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.errors import UserError
from mmsa_core.masks.published_masks import CODES
from mmsa_core.masks.recording import Recorded
from mmsa_core.types import Modality


def of_code(
    name: str, split: Split, order: Sequence[Modality], frames: Mapping[Modality, int], seed: int | None
) -> tuple[dict[str, Any], list[Recorded]]:
    """A protocol as it is written, and the masks of a code at each of its rates.

    `order` names the modalities that stand for the code's text, audio and vision. `frames` are the lengths that the
    arrays of the code's file are padded to, since its random numbers go by them.
    """
    if len(order) != 3 or len(set(order)) != 3 or not set(order) <= set(split.features):
        raise UserError(
            f"--order {','.join(order)}: the published codes mask three modalities, text, audio and vision; name "
            f"those that stand for them, in this order, of: {', '.join(split.features)}"
        )
    code = CODES[name]
    valid = [positions(split.features[m], frames[m], m) for m in order]
    found = []
    for rate in code.RATES:
        kept = code.masks(valid, rate, seed)
        masks = {m: torch.from_numpy(np.ascontiguousarray(k)) for m, k in zip(order, kept, strict=True)}
        found.append(Recorded(f"{rate:.1f}", masks, rate))
    written = {
        "name": f"published-{name}",
        "about": f"The masks of the published code '{name}'{'' if seed is None else f', seed {seed}'}.",
        "axis": "missing rate",
    }
    if len(found) > 1:
        written["averages"] = {code.AVERAGE[0]: {"over": "all", "how": code.AVERAGE[1]}}  # type: ignore[assignment]
    return written, found


def stored_length(x: Sequences) -> int:
    """What sequences are padded to in the file that they were read from; of those without padding the longest."""
    steps = sorted(set(x.starts.diff().tolist()))
    return max(x.longest, steps[0]) if len(steps) == 1 else x.longest


def positions(x: Sequences, frames: int, modality: Modality) -> NDArray[np.bool_]:
    """Which positions of an array padded to `frames` are within the sequences."""
    if frames < x.longest:
        raise UserError(
            f"--frames {modality}={frames}: the longest sequence has {x.longest} frames; name what the "
            "arrays of the file are padded to"
        )
    found: NDArray[np.bool_] = np.arange(frames) < x.lengths.numpy()[:, None]
    return found
