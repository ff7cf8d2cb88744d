"""How targets are named and made of a file's columns.

A target's name says what it is: `score` (a number), `label` (a class) or `labels` (several binary labels). What was
judged from one modality alone, as in CH-SIMS, stands beside it under that modality's name: `score/text`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Tensor

from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE
from mmsa_core.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]


def kind(name: str) -> str:
    """`score`, `label` or `labels`, of `score/text` too."""
    return name.split("/")[0]


def _named(name: str) -> str:
    first, slash, rest = name.partition("/")
    if first not in (SCORE, LABEL) or (slash and not rest):
        raise ValueError(
            f"'{name}' cannot name a target; use {SCORE} or {LABEL}, or {SCORE}/WHOSE and {LABEL}/WHOSE for what was "
            f"judged from one modality alone"
        )
    return name


TargetName = Annotated[str, AfterValidator(_named)]
"""The name of a target of one column."""


def target(name: str, values: Any, where: str) -> Tensor:
    """A column of numbers [rows] as a score or a class; for `labels` [rows, labels]."""
    try:
        found = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: target '{name}' cannot be made one array ({error!s:.200})") from error
    width = 2 if kind(name) == LABELS else 1
    if found.dtype.kind not in "biuf" or found.ndim != width:
        shape = "[rows, labels]" if width == 2 else "[rows]"
        raise UserError(
            f"{where}: target '{name}' must be numbers of shape {shape}; found {found.dtype} of shape {found.shape}"
        )
    if kind(name) == SCORE:
        with np.errstate(over="ignore"):
            return torch.from_numpy(found.astype(np.float32))
    bad = ~whole(found) | ((found != 0) & (found != 1) if width == 2 else found < 0)
    if bad.any():
        row = int(bad.reshape(len(found), -1).any(axis=1).argmax())
        expected = "0 or 1" if width == 2 else "a class number from 0"
        raise UserError(
            f"{where}: target '{name}' has {found[row].tolist()} in row {row}, counted from 0; expected {expected}"
        )
    return torch.from_numpy(found.astype(np.int64))


def binary(columns: Mapping[str, Array], where: str) -> dict[str, Tensor]:
    """Columns of 0 and 1, one for each label, as the target `labels` [rows, labels]."""
    return {LABELS: target(LABELS, np.stack(list(columns.values()), axis=1), where)} if columns else {}


def whole(values: Any) -> Any:
    """Which numbers are whole (and of a size that a class or a length can have)."""
    return (np.abs(values.astype(np.float64)) < 2**31) & (values == np.floor(values))
