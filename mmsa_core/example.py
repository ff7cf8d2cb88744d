"""What a component tells the conformance kit: how it is built and fed where the kit's own ways do not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import SkipTest


@dataclass(frozen=True, slots=True)
class Example:
    """One way to build a component and to feed it."""

    config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of its Config beyond the defaults; as in a recipe."""
    dim: int = 40
    """The model's width. 40 is divided by the usual numbers of attention heads."""
    modalities: tuple[int, ...] = (1, 2, 3, 4)
    """Numbers of modalities that it takes."""
    vocabulary: int = 0
    """For an encoder that reads tokens (id, attention mask, segment id): ids are below it. 0: it reads features."""


class Untried(SkipTest):
    """Raised by `examples` with the reason why the kit cannot try a component; a test runner skips with it."""


class Exemplified:
    """What can say how it is tried."""

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        """What the conformance kit tries it with: by default its Config's defaults.

        A component overrides it whose Config has fields without a default, or that does not take what the kit gives.
        What it reads from files it writes into `folder` first, which is empty.

        Raises:
            Untried: with the reason, where the kit cannot try it here.
        """
        return [Example()]
