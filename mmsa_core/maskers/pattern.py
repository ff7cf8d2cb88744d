"""Hides the same modalities of every sample: the fixed conditions of the field's robustness tables."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import model_validator

from mmsa_core.components import ComponentConfig, Masker
from mmsa_core.example import Example
from mmsa_core.maskers.named import Names, named
from mmsa_core.missing import Draw
from mmsa_core.types import Batch


class Pattern(Masker):
    """Keeps or hides the named modalities, to the letter: a sample that has none of the kept ones ends with nothing."""

    deterministic = True

    class Config(ComponentConfig):
        keep: Names | None = None
        """The only modalities that stay."""
        hide: Names | None = None
        """The modalities that go; give either this or `keep`."""

        @model_validator(mode="after")
        def _one(self) -> "Pattern.Config":
            if (self.keep is None) == (self.hide is None):
                raise ValueError("give either keep or hide, for example keep: [text]")
            return self

    config: Config

    @classmethod
    def examples(cls, folder: Path) -> Sequence[Example]:
        return [Example({"hide": ["audio"]}, modalities=(2, 3, 4))]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        chosen = set(named(self.config.keep or self.config.hide, batch.observed, "pattern"))
        gone = chosen if self.config.hide else set(batch.observed) - chosen
        return batch.hide({m: batch.observed[m] for m in batch.observed if m in gone})
