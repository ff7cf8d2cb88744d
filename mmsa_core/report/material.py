"""What the sections of a report read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmsa_core.comparison.compare import Comparison
from mmsa_core.inspection.shared import Leakage
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.report import log
from mmsa_core.report.log import Log
from mmsa_core.report.tested import Tested
from mmsa_core.run_folder.checkpoint import Loaded


@dataclass(frozen=True)
class Run:
    """One experiment: a recipe, trained with one or more seeds."""

    name: str
    folder: Path
    seeds: tuple[Loaded, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe of the first seed; that of the others differs in the seed only."""
        return self.seeds[0].recipe

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(each.recipe.seeds[0] for each in self.seeds)

    @cached_property
    def logs(self) -> Sequence[Log]:
        """What each seed's training wrote down."""
        return [log.read(each.folder) for each in self.seeds]


@dataclass(frozen=True)
class Material:
    """The runs of a report, in the order of the command line, and what they answer under each protocol."""

    runs: tuple[Run, ...]
    split: str
    tested: tuple[Tested, ...]
    comparisons: tuple[Comparison | None, ...]
    """For each protocol: all runs with the first; None where there is nothing to compare, or no way to."""
    incomparable: tuple[str, ...]
    """Why runs are left out of the comparisons."""
    leakage: Leakage
    """What splits of the first run's data share."""
    names: Mapping[str, tuple[str, ...]]
    """The data's names of classes, where they have some."""
    published: bool = False
    """Whether published numbers stand beside the runs'."""

    @property
    def spread(self) -> str:
        """What stands behind a mean, for captions."""
        several = any(len(run.seeds) > 1 for run in self.runs)
        return "mean ± standard deviation over seeds" if several else "one seed"
