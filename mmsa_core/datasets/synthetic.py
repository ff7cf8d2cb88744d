"""A corpus that is made, not collected: works without any file, and its difficulty is known."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mmsa_core.components import Dataset, DatasetConfig
from mmsa_core.corpora.corpus import LABEL, SCORE, Corpus, Split, missing_notes
from mmsa_core.example import Example
from mmsa_core.missing import derive
from mmsa_core.types import Modality

VERSION = 1
"""Version of the generator: raised whenever the same parameters give other numbers."""
Array = np.ndarray[Any, np.dtype[Any]]


class SyntheticConfig(DatasetConfig):
    """Parameters of the generator; the defaults are those of the reference's description."""

    seed: NonNegativeInt = 0
    """Seed of every number in the corpus; global random state plays no part."""
    samples: tuple[PositiveInt, PositiveInt, PositiveInt] = (600, 200, 1500)
    """Rows of train, valid and test."""
    length: tuple[PositiveInt, PositiveInt] = (10, 20)
    """Shortest and longest sequence, in frames; each length between them is as likely."""
    aligned: bool = True
    """Modalities of a sample have the same frames (word-aligned); otherwise lengths of their own, see `stretch`."""
    stretch: dict[str, PositiveFloat] = Field({"text": 1.0, "audio": 3.0, "vision": 2.0})
    """Not aligned: by how much each modality's lengths exceed `length` (1 where it is not named)."""
    channels: dict[str, PositiveInt] = Field({"text": 150, "audio": 15, "vision": 20}, min_length=1)
    """Modalities, in this order, and the width of their features."""
    gains: dict[str, NonNegativeFloat] = Field({"text": 1.6, "audio": 0.6, "vision": 0.9})
    """How strongly each modality shows the score; 0 makes it pure noise."""
    label_noise: NonNegativeFloat = 0.8
    """Standard deviation of each modality's own error about the score, in points of the score."""
    nuisance: NonNegativeFloat = 0.6
    """Strength of a trait of the sample that all modalities show and the score does not depend on."""
    noise: NonNegativeFloat = 1.4
    """Standard deviation of the noise of each feature in each frame."""
    informative: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of the frames that show the score."""
    missing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of (sample, modality) pairs that are missing from the start; each sample keeps at least one modality."""

    @model_validator(mode="after")
    def _consistent(self) -> "SyntheticConfig":
        if self.length[0] > self.length[1]:
            raise ValueError(f"length: expected (shortest, longest), found {self.length}")
        if set(self.gains) != set(self.channels):
            raise ValueError(f"gains name {', '.join(self.gains)}, but channels {', '.join(self.channels)}")
        most = 1 - 1 / len(self.channels)
        if self.missing > most + 1e-9:
            raise ValueError(
                f"missing: {self.missing:g} of the pairs cannot be missing when each sample keeps one of "
                f"{len(self.channels)} modalities; at most {most:.3g}"
            )
        return self


class Synthetic(Dataset):
    """Sequences in which some frames show a latent sentiment score.

    score ~ N(0, 1.5) clipped to [-3, 3], z ~ N(0, 1); for modality m with random unit vectors u_m, v_m

        frame = shows * gain_m * (score + label_noise * e_m) * u_m + nuisance * z * v_m + noise * e

    where shows is 1 with probability `informative`, e_m ~ N(0, 1) once per sample and modality, and
    e ~ N(0, 1) for each feature. The target `score` is the latent one in steps of 0.2, as averages of
    five annotators are, so that exact zeros occur; `label` is its sign (0 negative, 1 neutral, 2 positive).

    Realistic: the shape of the data, the order of the modalities' strength, scores crowded about zero,
    modalities that err on their own and share something irrelevant, evidence in few frames.
    Not realistic: it is linear (no word means anything in context, no modality changes another's
    meaning), frames have no order, speakers do not exist, splits have one distribution, and natural
    missingness is by chance. For a corpus of MOSI's size: samples [1284, 229, 686], length [50, 50],
    channels {text: 300, audio: 74, vision: 35}.

    Each (split, modality) has a random stream of its own: another order or number of modalities,
    another size of another split or other `missing` leave the rest of the numbers as they are.
    """

    Config = SyntheticConfig

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        small = {"samples": [12, 6, 6], "missing": 0.2}
        return [Example(small), Example(small | {"aligned": False})]

    def load(self) -> Corpus:
        config = self.config
        sizes = zip(("train", "valid", "test"), config.samples, strict=True)
        splits = {name: split(config, name, rows) for name, rows in sizes}
        notes = [note for name, made in splits.items() for note in missing_notes(name, made, absent=set())]
        return Corpus(splits, digest(config), tuple(notes), {LABEL: ("negative", "neutral", "positive")})


def digest(config: SyntheticConfig) -> str:
    """SHA-256 of what determines the numbers: the generator's version and parameters."""
    parameters = config.model_dump(mode="json", exclude=set(DatasetConfig.model_fields))
    text = json.dumps({"generator": VERSION, **parameters}, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def stream(config: SyntheticConfig, *purpose: str) -> np.random.Generator:
    """The random numbers for one purpose."""
    return np.random.default_rng(derive("synthetic", VERSION, config.seed, *purpose))


def split(config: SyntheticConfig, name: str, rows: int) -> Split:
    """One split of `rows` samples."""
    draw = stream(config, name)
    score = np.clip(1.5 * draw.standard_normal(rows), -3, 3).astype(np.float32)
    trait = draw.standard_normal(rows, dtype=np.float32)
    kept = keep(config, name, rows)
    features: dict[Modality, torch.Tensor] = {}
    observed: dict[Modality, torch.Tensor] = {}
    for modality in config.channels:
        seen = frames(config, name, modality, rows) & kept[modality][:, None]
        x = sequences(config, name, modality, score, trait, seen.shape[1])
        x[~seen] = 0
        features[modality] = torch.from_numpy(x)
        observed[modality] = torch.from_numpy(seen)
    target = torch.from_numpy(np.round(score * 5)) / 5 + 0.0  # no negative zeros
    return Split.padded(
        ids=tuple(f"synthetic-{name}-{row}" for row in range(rows)),
        features=features,
        observed=observed,
        targets={SCORE: target, LABEL: target.sign().long() + 1},
    )


def sequences(config: SyntheticConfig, name: str, modality: Modality, score: Array, trait: Array, time: int) -> Array:
    """Features [rows, time, channels] of one modality, padding not yet hidden."""
    channels = config.channels[modality]
    u, v = (direction(config, what, modality, channels) for what in ("score", "nuisance"))
    draw = stream(config, name, modality)
    shown = score + config.label_noise * draw.standard_normal(len(score), dtype=np.float32)
    shows = draw.random((len(score), time), dtype=np.float32) < config.informative
    x = draw.standard_normal((len(score), time, channels), dtype=np.float32)
    x *= np.float32(config.noise)
    x += (np.float32(config.nuisance) * trait)[:, None, None] * v
    x += (np.float32(config.gains[modality]) * shown[:, None] * shows)[:, :, None] * u
    return x


def direction(config: SyntheticConfig, what: str, modality: Modality, channels: int) -> Array:
    """A random unit vector, the same in all splits."""
    vector = stream(config, "direction", what, modality).standard_normal(channels)
    unit: Array = (vector / np.sqrt((vector**2).sum())).astype(np.float32)
    return unit


def frames(config: SyntheticConfig, name: str, modality: Modality, rows: int) -> Array:
    """True for the frames before each sequence's end."""
    factor = 1.0 if config.aligned else config.stretch.get(modality, 1.0)
    shortest, longest = (max(1, round(length * factor)) for length in config.length)
    draw = stream(config, "length", name, "" if config.aligned else modality)
    lengths = draw.integers(shortest, longest, size=rows, endpoint=True)
    seen: Array = np.arange(longest) < lengths[:, None]
    return seen


def keep(config: SyntheticConfig, name: str, rows: int) -> Mapping[Modality, Array]:
    """Which samples have each modality: one of them for certain, the others by chance, `missing` lost on average."""
    draws = {m: stream(config, "missing", name, m).random((2, rows)) for m in config.channels}
    certain = np.stack([order for order, _ in draws.values()]).max(axis=0)
    chance = config.missing * len(draws) / max(1, len(draws) - 1)
    return {m: (fate >= chance) | (order == certain) for m, (order, fate) in draws.items()}
