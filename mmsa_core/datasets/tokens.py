"""The text of MMSA's pickles as tokens: `text_bert` [rows, 3, frames] with ids, attention mask and segment ids."""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mmsa_core.datasets.pickled import PickleConfig, Rows, float32, shown
from mmsa_core.errors import UserError

TEXT, TOKENS = "text", "text_bert"
"""The keys of a file's text: as features, and as tokens."""


def modalities(config: PickleConfig, keys: Collection[str]) -> dict[str, str]:
    """`data.modalities` with the file's tokens in place of its text features."""
    if TEXT not in config.modalities.values():
        raise UserError(
            f"data.tokens: true stands for the features under '{TEXT}', which data.modalities does not read; "
            f"found {shown(config.modalities.values())}"
        )
    if TOKENS not in keys and config.absent == "refuse":
        raise UserError(
            f"{config.path}: data.tokens: true reads '{TOKENS}' [rows, 3, frames], which no split has; keys found: "
            f"{shown(keys)}. Tokenise the transcripts where the file was made, or set data.tokens: false."
        )
    return {modality: TOKENS if key == TEXT else key for modality, key in config.modalities.items()}


def features(rows: Rows, key: str) -> Float[Tensor, "rows time channels"]:
    """The sequences under a key: of `text_bert` id, mask and segment id of each token, else features."""
    return read(rows) if key == TOKENS else rows.features(key)


def read(rows: Rows) -> Float[Tensor, "rows time 3"]:
    """Id, attention mask and segment id of each token, exact in float32; zero where the mask is zero."""
    values = rows.numbers(TOKENS)
    if values.ndim != 3 or values.shape[1] != 3 or not values.shape[2]:
        raise UserError(
            f"{rows.where}: '{TOKENS}' must have shape [rows, 3, frames], of ids, attention mask and segment ids; "
            f"found {values.shape}"
        )
    mask = values[:, 1:2]
    exact = (values == np.floor(values)) & (values >= 0) & (values < 2**24)
    bad = ~np.isin(mask, (0, 1)) | (~exact & (mask != 0))
    if bad.any():
        row, _, frame = (int(i) for i in np.argwhere(bad)[0])
        raise UserError(
            f"{rows.where}: '{TOKENS}' must hold whole ids and segment ids from 0, and a mask of 0 and 1; "
            f"{int(bad.any(axis=(1, 2)).sum())} of {rows.count} rows do not: row {row} has id, mask and segment "
            f"{values[row, :, frame].tolist()} at frame {frame}. Tokenise the transcripts again."
        )
    return float32(np.where(mask != 0, values, 0).swapaxes(1, 2))
