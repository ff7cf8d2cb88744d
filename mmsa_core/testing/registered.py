"""Components as their distributions declare them, for a test or for `mmsa plugin check`."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.example import Example, Untried
from mmsa_core.registry import Registry, canonical
from mmsa_core.testing import datasets, distillers, encoders, fusions, maskers
from mmsa_core.testing.building import config_of
from mmsa_core.testing.kit import Outcome

Outcomes = Iterator[Outcome]


def _encoder(component: Any, config: Any, example: Example) -> Outcomes:
    return encoders.outcomes(component, config, example.modalities, example.dim, example.vocabulary)


def _fusion(component: Any, config: Any, example: Example) -> Outcomes:
    return fusions.outcomes(component, config, example.modalities, dim=example.dim)


def _distiller(component: Any, config: Any, example: Example) -> Outcomes:
    return distillers.outcomes(component, config, example.modalities, dim=example.dim)


def _masker(component: Any, config: Any, example: Example) -> Outcomes:
    return maskers.outcomes(lambda: component(config), example.modalities)


def _dataset(component: Any, config: Any, example: Example) -> Outcomes:
    return datasets.outcomes(component, config)


KINDS: Mapping[str, Callable[[Any, Any, Example], Outcomes]] = {
    "encoder": _encoder,
    "fusion": _fusion,
    "distiller": _distiller,
    "masker": _masker,
    "dataset": _dataset,
}


@dataclass(frozen=True)
class Registered:
    """A component that a distribution declares."""

    table: Registry[Any]
    name: str

    def __str__(self) -> str:
        return f"{self.table.kind}-{self.name}"

    @property
    def owner(self) -> str:
        """The distribution and its version."""
        return self.table.owners(self.name)[0]

    def outcomes(self) -> Outcomes:
        """What the checks find, example by example.

        Raises:
            Untried: with the reason, where the kit cannot try it here.
        """
        component = self.table.get(self.name)
        with tempfile.TemporaryDirectory() as folder:
            try:
                examples = list(component.examples(Path(folder)))
            except Untried:
                raise
            except Exception as error:  # of the component
                yield Outcome("build", defect=f"{component.__name__}: `examples` fails with {_told(error)}")
                return
            for example in examples:
                try:
                    config = config_of(component, None, example, self.name)
                    yield from KINDS[self.table.kind](component, config, example)
                    yield Outcome("build")
                except AssertionError as defect:
                    yield Outcome("build", defect=str(defect))
                except Exception as error:  # of the component
                    yield Outcome("build", defect=f"{component.__name__}: cannot be tried: {_told(error)}")

    def check(self) -> None:
        """Raise `AssertionError` with the first defect."""
        for outcome in self.outcomes():
            if outcome.defect is not None:
                raise AssertionError(outcome.defect)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def components(distribution: str | None = None) -> list[Registered]:
    """The components of one distribution, or of all that are installed.

    Raises:
        UserError: if the distribution is not installed, has no components, or was written for another API.
    """
    owned: dict[str, list[Registered]] = {}
    for table in registry.ALL:
        for claim in registry.metadata().claims[table.group]:
            owned.setdefault(claim.owner.split(" ")[0], []).append(Registered(table, claim.name))
    if distribution is None:
        return [each for found in owned.values() for each in found]
    name = canonical(distribution)
    for there in registry.metadata().distributions.values():
        if there.name == name and there.incompatible:
            raise UserError(f"{there.owner} is not loaded: {there.incompatible}")
    if name not in owned:
        raise UserError(
            f"no installed distribution '{distribution}' declares components.{registry.suggestions(name, list(owned))} "
            f"Those that do: {', '.join(sorted(owned))}. Install it (pip install -e FOLDER), or see its entry points"
        )
    return owned[name]
