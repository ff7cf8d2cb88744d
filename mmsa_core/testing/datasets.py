"""What every data set reader must hold."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsa_core.components import Dataset
from mmsa_core.corpora import data
from mmsa_core.corpora.batching import batches
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.datasets import labels
from mmsa_core.errors import UserError
from mmsa_core.testing import configs
from mmsa_core.testing.building import config_of
from mmsa_core.testing.cases.dataset import Case
from mmsa_core.testing.compare import require
from mmsa_core.testing.kit import Outcome, Table, demand, run
from mmsa_core.types import Modality

KINDS = {SCORE: (torch.float32, 1), LABEL: (torch.int64, 1), LABELS: (torch.int64, 2)}
"""Type and number of dimensions of a target."""


def finite(case: Case) -> None:
    """Splits have samples, sequences of frames within `values`, and finite targets."""
    corpus, who = case.corpus, case.who
    require(any(len(split) for split in corpus.splits.values()), who, "the corpus has no samples")
    widths: dict[Modality, int] = {}
    for where, split, m, x in case.modalities():
        require(len(x) == len(split), where, f"{len(x)} sequences for {len(split)} ids")
        require(x.values.ndim == 2, where, f"`values` has shape {list(x.values.shape)}, expected [frames, channels]")
        ends = (x.starts + x.lengths)[x.lengths > 0]
        inside = (x.starts >= 0).all() and (x.lengths >= 0).all() and not (ends > len(x.values)).any()
        require(inside, where, "sequences end beyond `values`")
        same = widths.setdefault(m, x.channels) == x.channels
        require(same, where, f"{x.channels} channels, and {widths[m]} in another split")
    for name, split in corpus.splits.items():
        require(set(split.features) == set(widths), who, f"split '{name}' lacks a modality; give it `Sequences.none`")
        for target, values in split.targets.items():
            where = f"{who}, split '{name}', target '{target}'"
            require(len(values) == len(split), where, f"{len(values)} values for {len(split)} ids")
            require(values.isfinite().all(), where, "a value is not finite")


def hidden(case: Case) -> None:
    """A sequence ends with a frame that is there, and what it says of its values is so."""
    for where, _, _, x in case.modalities():
        if x.seen is not None:
            last = (x.starts + x.lengths - 1)[x.lengths > 0]
            require(x.seen[last].all(), where, "a sequence ends with a missing frame; cut its length")
        require(not x.finite or x.values.isfinite().all(), where, "`finite` is True, and a value is not finite")
        require(x.zero is None or not x.values[x.zero].any(), where, "the frame at `zero` is not zero")


def sizes(case: Case) -> None:
    """A sample alone in a batch is what it is among others."""
    for name, split in case.corpus.splits.items():
        for whole in batches(split, None, max(1, len(split))):
            for row, alone in enumerate(batches(split, None, 1)):
                for m, x in alone.features.items():
                    there, seen = whole.features[m][row, : x.shape[1]], whole.observed[m][row]
                    same = torch.equal(there, x[0]) and int(seen.sum()) == int(alone.observed[m].sum())
                    require(same, case.who, f"split '{name}', row {row}: '{m}' alone differs from itself in a batch")


def absent(case: Case) -> None:
    """A file that does not exist is the user's mistake, not a traceback."""
    paths = [name for name in type(case.config).model_fields if isinstance(getattr(case.config, name), Path)]
    for name in paths:
        lost = getattr(case.config, name).with_name("no such file")
        try:
            case.component(case.config.model_copy(update={name: lost})).load()
        except UserError as error:
            require(str(lost) in str(error), case.who, f"the message about a lost {name} does not say which: {error}")
        except Exception as error:
            raise AssertionError(
                f"{case.who}: a lost {name} ends with {type(error).__name__}: {error}; raise UserError with the path"
            ) from error
        else:
            raise AssertionError(f"{case.who}: a lost {name} is not noticed")


def claims(case: Case) -> None:
    """A model can be given it: names are printable, and each modality has frames."""
    corpus, who = case.corpus, case.who
    require(bool(corpus.digest), who, "the corpus has no digest; give the SHA-256 of what was read")
    modalities = next(iter(corpus.splits.values())).features
    try:
        data.prepare(corpus, case.config, tuple(modalities), None)
    except UserError as error:
        raise AssertionError(f"{who}: a model cannot be given it: {error}") from error
    for target, names in corpus.names.items():
        for split in corpus.splits.values():
            if target == LABEL and target in split.targets and len(split):
                most = int(split.targets[target].max())
                require(most < len(names), who, f"class {most} of '{target}' has no name, of {len(names)} names")


def dtypes(case: Case) -> None:
    """Features are floating, scores float32, classes and binary labels int64."""
    for where, _, _, x in case.modalities():
        require(x.values.is_floating_point(), where, f"`values` are {x.values.dtype}, expected a floating type")
        for name in ("starts", "lengths"):
            found = getattr(x, name).dtype
            require(found == torch.int64, where, f"`{name}` are {found}, expected torch.int64")
    for split in case.corpus.splits.values():
        for target, values in split.targets.items():
            require(labels.kind(target) in KINDS, case.who, f"target '{target}'; known are {', '.join(KINDS)}")
            dtype, dimensions = KINDS[labels.kind(target)]
            right = values.dtype == dtype and values.ndim == dimensions
            found = f"{values.dtype} of shape {list(values.shape)}"
            require(right, case.who, f"target '{target}' is {found}, expected {dtype} in {dimensions} dimensions")


def seed(case: Case) -> None:
    """Loaded again it is the same, and global random numbers are neither drawn nor set."""
    case.corpus  # noqa: B018 - loaded before: a reader that sets seeds has set them by then
    _ = torch.rand(1), random.random(), np.random.random()  # noqa: S311 - and is caught by another state
    before = _random()
    again = case.load()
    require(_random() == before, case.who, "global random numbers are drawn or set; use a generator of its own")
    require(again.digest == case.corpus.digest, case.who, "loaded again it has another digest")
    for name, split in case.corpus.splits.items():
        other = again.splits[name]
        require(other.ids == split.ids, case.who, f"loaded again, split '{name}' has other ids")
        parts = [(split.targets, other.targets)]
        parts += [(_parts(x), _parts(other.features[m])) for m, x in split.features.items()]
        for wanted, found in parts:
            same = all(torch.equal(_bits(found[key]), _bits(x)) for key, x in wanted.items())
            require(same, case.who, f"loaded again, split '{name}' has other values")


def _parts(x: Sequences) -> dict[str, Tensor]:
    return {"values": x.values, "starts": x.starts, "lengths": x.lengths}


def _bits(x: Tensor) -> Tensor:
    """NaN is equal to itself."""
    return x.nan_to_num(nan=12345.0) if x.is_floating_point() else x


def _random() -> tuple[bytes, Any, str]:
    """The state of every global generator."""
    numbers: Any = np.random.get_state()
    return torch.random.get_rng_state().numpy().tobytes(), random.getstate(), repr(numbers)


def device(case: Case) -> None:
    """A reader gives what is on the host; the runner moves it."""
    for where, _, _, x in case.modalities():
        require(x.values.device.type == "cpu", where, f"`values` are on {x.values.device}; leave them on the host")
    for split in case.corpus.splits.values():
        for target, values in split.targets.items():
            require(values.device.type == "cpu", case.who, f"target '{target}' is on {values.device}")


EACH: Table = (
    ("finite", finite),
    ("dtypes", dtypes),
    ("hidden", hidden),
    ("sizes", sizes),
    ("absent", absent),
    ("claims", claims),
    ("yaml", configs.round_trip),
    ("seed", seed),
    ("device", device),
)


def outcomes(component: type[Dataset], config: Any) -> Iterator[Outcome]:
    """The one case that there is."""
    yield from run(([Case(component.__name__, component, config)], EACH))


def check_dataset(component: type[Dataset], config: Any = None) -> None:
    """What it loads is a whole corpus, the same each time, and a lost file is the user's mistake."""
    demand(outcomes(component, config_of(component, config)))
