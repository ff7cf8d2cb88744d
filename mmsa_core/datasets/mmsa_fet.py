"""What the MMSA Feature Extraction Tool (MMSA-FET; Mao et al., ACL 2022 Demo) writes.

`run_dataset` writes MMSA's schema with the tool's own settings beside the splits, under `config`; all of a split is
arrays, `text_bert` and features are float64, there are no classification_labels, and aligned features have no lengths
but `align`, the words' times. `run_single` writes one clip: {audio, vision, text: [frames, channels], text_bert:
[frames, 3], config}.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmsa_core.components import Dataset
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets.mmsa_pickle import MmsaPickleConfig, mmsa_corpus, visible
from mmsa_core.datasets.pickled import checked
from mmsa_core.datasets.tokens import TOKENS
from mmsa_core.datasets.unpickle import read
from mmsa_core.errors import UserError
from mmsa_core.example import Example

RATIO, FLOOR = 100, 1 << 24
"""Numbers that padding may add up to: so many times what a list holds, and at least so many."""
SETTINGS = ("config", "align")
"""Keys of a file, or of a single clip, that are no columns."""


class MmsaFetConfig(MmsaPickleConfig):
    padding: Literal["end", "start"] = "end"
    """Where the tool was told to pad (its `padding_location`); the file does not say it."""


class MmsaFet(Dataset):
    """Reads what MMSA-FET writes for a data set or for a single clip, with return_type 'np'.

    A single clip becomes the only sample of the split 'test', named as the file, for `mmsa predict`. The tool writes no
    classes; data.classes makes them of the annotations. A row of zeros (no face was found) is missing.
    """

    Config = MmsaFetConfig

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        from mmsa_core.testing.written import written

        return [Example({"path": written("mmsa-fet", folder)})]

    def load(self) -> Corpus:
        config = self.config
        try:
            data, digest = read(config.path.expanduser())
        except UserError as error:
            if "'torch." not in str(error):
                raise
            raise UserError(f"{error} MMSA-FET writes tensors with return_type='pt'; 'np' writes arrays.") from error
        if isinstance(data, dict) and any(isinstance(value, np.ndarray) for value in data.values()):
            data = {"test": _clip(data, config.path)}
        elif isinstance(data, dict):
            data = {name: split for name, split in data.items() if name not in SETTINGS}
        splits = {name: _packed(split, config.padding) for name, split in checked(data, config.path).items()}
        return mmsa_corpus(config, splits, digest, partial(visible, at_end=config.padding == "start"))


def _packed(split: dict[str, Any], padding: str) -> dict[str, Any]:
    """The split with a list of sequences [frames, channels], which a script of one's own may save, as one array."""
    found = dict(split)
    for key, value in split.items():
        listed = (
            list(value)
            if isinstance(value, list | tuple) or getattr(getattr(value, "dtype", None), "kind", "") == "O"
            else []
        )
        if not listed or not all(isinstance(x, np.ndarray) and x.ndim == 2 for x in listed):
            continue
        lengths, widths = [len(x) for x in listed], {x.shape[1] for x in listed if len(x)}
        if len(widths) != 1 or any(x.dtype.kind not in "biuf" for x in listed):
            continue
        (width,) = widths
        padded, stored = len(listed) * max(lengths) * width, sum(lengths) * width
        if padded > max(RATIO * stored, FLOOR):
            raise UserError(
                f"'{key}': its longest sequence has {max(lengths)} frames, and all {len(listed)} padded to it would "
                f"take {padded // stored} times what is there, which is refused; cut it where the file was made, or "
                "write a folder (data.name: folder), which needs no padding"
            )
        values = np.zeros((len(listed), max(lengths), width))
        for row, x in enumerate(listed):
            values[row, (max(lengths) - len(x) if padding == "start" else 0) :][: len(x)] = x
        found[key] = values.swapaxes(1, 2) if key == TOKENS else values
        if key != TOKENS:
            found.setdefault(f"{key}_lengths", lengths)
    return found


def _clip(data: dict[Any, Any], path: Path) -> dict[str, Any]:
    """A single clip as a split of one row."""
    row: dict[str, Any] = {"id": [path.stem]}
    for key, value in data.items():
        if isinstance(key, str) and isinstance(value, np.ndarray):
            row[key] = np.asarray(value).T[None] if key == TOKENS else np.asarray(value)[None]
    return row
