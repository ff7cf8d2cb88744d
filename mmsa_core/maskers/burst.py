"""Hides bursts of frames by a two-state Markov process, as a lossy channel does (Gilbert, 1960; Elliott, 1963)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.maskers.rate import Rate, draw_rate
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class Burst(Masker):
    """Hides a frame while the process of its modality is in the state "lost".

        P(lost | lost) = 1 - 1 / length,   P(lost | arrived) = rate / ((1 - rate) length)

    The process starts in its stationary state, so that each frame is hidden with probability `rate`. With a higher rate
    the holes only grow: where independent losses would already come in longer bursts, of 1 / (1 - rate) frames in
    the mean, these are what is drawn. The process runs over all frames, missing ones included. (With `keep_one` the
    frame that stays where everything was lost may be another one.)
    """

    class Config(ComponentConfig):
        rate: Rate
        """Probability that a frame is hidden, or [low, high]: each sample and modality draws its own."""
        length: Annotated[float, Field(ge=1)] = 5.0
        """Mean length of a burst in frames."""
        keep_one: bool = True
        """Whether a modality that is present keeps at least one frame."""

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"rate": 0.4, "length": 2})]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        hidden = {}
        for m, observed in batch.observed.items():
            rate = draw_rate(self.config.rate, draw, batch.key, "burst", m)
            number = draw.frames(batch.key, observed.shape[1], "burst", m)
            lost = bursts(rate, self.config.length, draw.samples(batch.key, "burst", m), number)
            if self.config.keep_one:
                seen = number.masked_fill(~observed, -1.0)
                nothing = (observed & ~lost).sum(dim=1, keepdim=True) == 0
                lost = lost & ~(nothing & (seen == seen.amax(dim=1, keepdim=True)))
            hidden[m] = lost
        return batch.hide(hidden)


def bursts(
    rate: Float[Tensor, " batch"],
    length: float,
    first: Float[Tensor, " batch"],
    number: Float[Tensor, "batch time"],
) -> Bool[Tensor, "batch time"]:
    """Frames in which the process is in the state "lost": one number in [0, 1) decides the state before the first
    frame, and one the step to each frame.

    With a = P(lost | arrived) <= b = P(lost | lost) a number below a loses the frame whatever was before, one from b
    on lets it arrive, and one between them leaves the state as it was: the last decisive number counts.
    """
    rate = rate.unsqueeze(1)
    mean = (1 / (1 - rate)).clamp(min=length)  # infinite at rate 1
    b = 1 - 1 / mean
    a = torch.where(rate < 1, rate / ((1 - rate) * mean), 1.0).minimum(b)
    lost = torch.cat([first.unsqueeze(1) < rate, number < a], dim=1)
    decided = torch.cat([torch.ones_like(rate, dtype=torch.bool), (number < a) | (number >= b)], dim=1)
    step = torch.arange(decided.shape[1], device=number.device)
    return lost.gather(1, torch.where(decided, step, 0).cummax(dim=1).values)[:, 1:]
