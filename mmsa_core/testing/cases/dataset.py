"""A data set reader and what it reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmsa_core.components import Dataset
from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.testing.compare import require
from mmsa_core.types import Modality


@dataclass(frozen=True)
class Case:
    """A reader and what it reads."""

    who: str
    component: type[Dataset]
    config: Any

    def load(self) -> Corpus:
        try:
            found = self.component(self.config).load()
        except Exception as error:
            raise AssertionError(f"{self.who}: cannot load: {type(error).__name__}: {error}") from error
        require(isinstance(found, Corpus), self.who, f"gives {type(found).__name__}, expected a Corpus")
        return found

    @cached_property
    def corpus(self) -> Corpus:
        return self.load()

    def modalities(self) -> Iterator[tuple[str, Split, Modality, Sequences]]:
        """Where it is, for messages, the split, and each modality with its sequences."""
        for name, split in self.corpus.splits.items():
            for m, x in split.features.items():
                yield f"{self.who}, split '{name}', '{m}'", split, m, x
