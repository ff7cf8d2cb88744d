"""Synthetic corpora to write to files: their sizes, and what may be missing in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mmsa_core.corpora import dense
from mmsa_core.corpora.corpus import LABELS, SCORE, Corpus, Split
from mmsa_core.datasets.synthetic import Synthetic, SyntheticConfig, stream
from mmsa_core.errors import UserError
from mmsa_core.missing import derive
from mmsa_core.types import Modality

CLIPS = 4
"""Clips of one video; a video's clips are in one split."""
EMOTIONS = ("happy", "sad", "angry", "neutral")
"""Names of the binary labels that `--labels emotions` makes."""
PATTERN = re.compile(r"(?:(?P<split>\w+):)?(?P<modality>[A-Za-z_]\w*)(?:=(?P<share>[\d.]+))?")


@dataclass(frozen=True)
class Size:
    """Rows of train, valid and test, frames, and the width of each modality's features."""

    samples: tuple[int, int, int]
    length: tuple[int, int]
    channels: dict[Modality, int]


SIZES = {
    "tiny": Size((48, 24, 24), (3, 8), {"text": 12, "audio": 5, "vision": 8}),
    "mosi": Size((1284, 229, 686), (10, 50), {"text": 768, "audio": 5, "vision": 20}),
    "mosei": Size((16326, 1871, 4659), (10, 50), {"text": 768, "audio": 74, "vision": 35}),
}


def corpus(size: str, seed: int, missing: Sequence[str] = (), kind: str = "score") -> Corpus:
    """A synthetic corpus of a size; `missing` are shares or patterns, see `hide`.

    `kind` says what its targets are: `score` (a score and its sign as a class), `unimodal` (also what each modality
    alone shows of the score, as in CH-SIMS) or `emotions` (four binary labels, as in IEMOCAP).
    """
    found = SIZES[size]
    shares = [share for share in missing if _share(share)]
    most = 1 - 1 / len(found.channels)
    if sum(map(float, shares)) > most:
        raise UserError(
            f"--missing {' '.join(shares)}: at most {most:.2f} of the pairs of sample and modality can be missing, as "
            f"each sample keeps one of {len(found.channels)} modalities"
        )
    config = SyntheticConfig(
        name="synthetic",
        seed=seed,
        samples=found.samples,
        length=found.length,
        channels=found.channels,
        missing=sum(map(float, shares)),
    )
    made = Synthetic(config).load()
    splits = {name: replace(split, ids=_ids(name, len(split)), keys=None) for name, split in made.splits.items()}
    for pattern in missing:
        if pattern not in shares:
            splits = hide(splits, pattern, seed)
    names = dict(made.names)
    if kind == "unimodal":
        splits = {n: replace(s, targets={**s.targets, **unimodal(config, n, len(s))}) for n, s in splits.items()}
    if kind == "emotions":
        splits = {n: replace(s, targets={LABELS: emotions(config, n, s.targets[SCORE])}) for n, s in splits.items()}
        names = {LABELS: EMOTIONS}
    return Corpus(splits, made.digest, (), names)


def settings(reader: str, kind: str) -> list[str]:
    """What a recipe says beside data.name and data.path to learn from what `corpus` made of a kind."""
    if kind == "unimodal":  # of the text, by way of example
        if reader == "mult-pickle":
            raise UserError("--format mult-pickle has no place for labels of one modality alone; use another format")
        named = {"folder": "data.labels={score/text: score/text}", "cmu-sdk": "data.targets={score/text: 2}"}
        return [*([named[reader]] if reader in named else []), "task.source=score/text"]
    if kind != "emotions":
        return []
    names = ", ".join(EMOTIONS)
    found = {
        "mult-pickle": [f"data.names=[{names}]"],
        "folder": [f"data.binary={{{', '.join(f'{name}: {name}' for name in EMOTIONS)}}}"],
        "safetensors": [],
        "cmu-sdk": ["data.targets={}", f"data.binary={{{', '.join(f'{n}: {at}' for at, n in enumerate(EMOTIONS))}}}"],
    }
    if reader not in found:
        raise UserError(f"--format {reader} has no place for binary labels; use {', '.join(found)}")
    return [*found[reader], f"task={{kind: binary_labels, names: [{names}]}}"]


def hide(splits: dict[str, Split], pattern: str, seed: int) -> dict[str, Split]:
    """Splits in which a modality is missing: `vision` everywhere, `train:text` in one split, `audio=0.3` in a share."""
    found = PATTERN.fullmatch(pattern)
    modalities = list(next(iter(splits.values())).features)
    share = float(found["share"] or 1) if found and _share(found["share"] or "1") else None
    if found is None or share is None or found["modality"] not in modalities or found["split"] not in (None, *splits):
        raise UserError(
            f"--missing {pattern}: expected a share of the pairs of sample and modality (0.3), a modality (vision), "
            f"with a split (train:text) or a share of the samples (audio=0.3); modalities: {', '.join(modalities)}; "
            f"splits: {', '.join(splits)}"
        )
    changed = {}
    for name, split in splits.items():
        lost = torch.from_numpy(np.random.default_rng(derive("hide", pattern, seed, name)).random(len(split)) < share)
        if found["split"] in (None, name):
            x, seen = dense.of(split, found["modality"])
            seen = seen & ~lost.unsqueeze(1)
            split = dense.changed(split, found["modality"], (torch.where(seen.unsqueeze(2), x, 0.0), seen))
        changed[name] = split
    return changed


def unimodal(config: SyntheticConfig, name: str, rows: int) -> dict[str, Tensor]:
    """What each modality shows of the score, its own error included, in steps of 0.2 from -3 to 3."""
    score = np.clip(1.5 * stream(config, name).standard_normal(rows), -3, 3).astype(np.float32)
    found = {}
    for modality in config.channels:
        error = stream(config, name, modality).standard_normal(rows, dtype=np.float32)
        shown = np.clip(score + config.label_noise * error, -3, 3)
        found[f"{SCORE}/{modality}"] = torch.from_numpy(np.round(shown * 5).astype(np.float32)) / 5 + 0.0
    return found


def emotions(config: SyntheticConfig, name: str, score: Tensor) -> Tensor:
    """Yes or no for each emotion: two follow the score, anger is chance below zero, neutral is the rest."""
    chance = torch.from_numpy(stream(config, name, "emotions").random(len(score)))
    happy, sad, angry = score > 0.5, score < -1, (score < -0.5) & (chance < 0.5)
    return torch.stack([happy, sad, angry, ~(happy | sad | angry)], dim=1).long()


def _ids(name: str, rows: int) -> tuple[str, ...]:
    return tuple(f"{name}{row // CLIPS:05}$_${row % CLIPS}" for row in range(rows))


def _share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
