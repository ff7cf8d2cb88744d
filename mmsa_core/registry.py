"""Component tables, filled by entry points: how core and plugins are found. Imports no torch.

A component is found by the name that its package declares in `pyproject.toml`:

    [project.entry-points."mmsa.distillers"]
    "corrkd.scd" = "mmsa_corrkd.scd:SampleContrastive"

Core declares its own components in the same way, so a plugin has no smaller rights than core.
Names are read from metadata; a class is imported when it is first asked for.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar, overload

import entrypoints

from mmsa_core.errors import UserError
from mmsa_core.plugins import known
from mmsa_core.plugins.installed import Claim as Claim
from mmsa_core.plugins.installed import Metadata as Metadata
from mmsa_core.plugins.installed import blocked as blocked
from mmsa_core.plugins.installed import canonical as canonical
from mmsa_core.plugins.installed import metadata as metadata

T = TypeVar("T")
SLOW = 2.0
"""Seconds that a component may take to import until its owner is named."""


def suggestions(name: str, known: Sequence[str]) -> str:
    """` Did you mean ...?` with the known names that are close, or that end in `name`; else nothing."""
    known = list(dict.fromkeys(known))
    ending = [each for each in known if each.split(".")[-1] == name]
    by_ending = {each.split(".")[-1]: each for each in known}
    close = ending or get_close_matches(name, known, n=2)
    close = close or [by_ending[each] for each in get_close_matches(name, list(by_ending), n=1)]
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


class Registry(Generic[T]):
    """Maps names to component classes of one base class."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.group = f"mmsa.{kind}s"
        self._loaded: dict[str, type[T]] = {}
        self.by_hand: dict[str, type[T]] = {}
        """The classes that `register` was given, by name."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._loaded, *(claim.name for claim in metadata().claims[self.group])}))

    def __repr__(self) -> str:
        return f"<{self.kind}s: {', '.join(self)}>"

    @property
    def base(self) -> type[T]:
        """The class that every component of this kind extends."""
        found: type[T] = getattr(import_module("mmsa_core.components"), self.kind.capitalize())
        return found

    def owners(self, name: str) -> tuple[str, ...]:
        """The distributions (name and version) that claim `name`."""
        found = tuple(claim.owner for claim in metadata().claims[self.group] if claim.name == name)
        return found or ("registered in this process",)

    def get(self, name: str) -> type[T]:
        """The class registered as `name`; an error names what is wrong and whose fault it is."""
        if name in self._loaded:
            return self._loaded[name]
        claim = self._claim(name)
        component = _imported(claim, f"{self.kind} '{name}' of {claim.owner}", self.base)
        self._loaded[name] = self._fitting(name, component, f"{claim.owner} ({claim.target}, {claim.file})")
        return self._loaded[name]

    def described(self, name: str) -> Any:
        """The Config of the class registered as `name`, which has a JSON schema."""
        config = self.get(name).Config  # type: ignore[attr-defined]
        try:
            config.model_json_schema()
        except Exception as error:  # of a plugin's own types
            claims = [claim for claim in metadata().claims[self.group] if claim.name == name]
            owner = " and ".join(f"{each.owner} ({each.target}, {each.file})" for each in claims) or "this process"
            reason = " ".join(str(error).split())
            raise UserError(f"{self.kind} '{name}' of {owner}: its Config has no JSON schema: {reason:.200}") from error
        return config

    @overload
    def register(self, name: str) -> Callable[[type[T]], type[T]]: ...

    @overload
    def register(self, name: str, component: type[T]) -> type[T]: ...

    def register(self, name: str, component: type[T] | None = None) -> type[T] | Callable[[type[T]], type[T]]:
        """Register a class by hand, for notebooks and tests; without a class this is a decorator for one.

        A class of the same name and module takes the place of the one before, as when a notebook's cell runs again.
        """
        if component is None:
            return lambda decorated: self.register(name, decorated)
        self._fitting(name, component, "this process")
        known = self._loaded.get(name, component)
        again = name in self.by_hand and _place(known) == _place(component)
        if known is not component and not again:
            raise UserError(f"{self.kind} '{name}' of this process is already {known!r}; choose another name")
        if claims := [claim for claim in metadata().claims[self.group] if claim.name == name]:
            owners = " and ".join(claim.owner for claim in claims)
            raise UserError(f"{self.kind} '{name}' is of {owners}; choose another name, such as 'my.{name}'")
        self._loaded[name] = self.by_hand[name] = component
        return component

    def _fitting(self, name: str, component: type[T], owner: str) -> type[T]:
        if defect := self.defect(component):
            raise UserError(f"{self.kind} '{name}' of {owner}: {component!r} {defect}")
        return component

    def defect(self, component: Any) -> str | None:
        """Why an object is no component of this kind."""
        if not (isinstance(component, type) and issubclass(component, self.base)):
            return f"does not extend {self.base.__name__}"
        config, wanted = getattr(component, "Config", None), self.base.Config  # type: ignore[attr-defined]
        if not (isinstance(config, type) and issubclass(config, wanted)):
            return f"has a Config that does not extend {wanted.__name__}: {config!r:.100}"
        return None

    def config(self, data: Any) -> Any:
        """Validate `{"name": ..., **fields}` with the Config of the class that `name` refers to."""
        from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

        if not isinstance(data, dict):
            if hasattr(data, "model_fields_set"):
                return data
            raise ValueError(f"expected {{name: ..., ...}} with the name of a component, found {data!r:.80}")
        if "name" not in data:
            raise ValueError(f"name is required, and not given. {self.kind.capitalize()}s: {', '.join(self)}")
        name = data["name"]
        try:
            component: Any = self.get(str(name))
        except UserError as error:
            said = PydanticCustomError("component", "{problem}", {"problem": str(error)})
            defect = InitErrorDetails(type=said, loc=("name",), input=name)
            raise ValidationError.from_exception_data(self.kind, [defect]) from error
        return component.Config.model_validate(data)

    def elsewhere(self, name: str) -> str | None:
        """Whose component `name` is where it cannot be had; None where nobody is known to have it."""
        for claim in metadata().refused.get(self.group, ()):
            if claim.name == name:
                owner = metadata().distributions[claim.owner]
                return (
                    f"{self.kind} '{name}' of {claim.owner} is not loaded: {owner.incompatible}. "
                    f"Install a version of {owner.name} for this core, or the mmsa-core that it was written for"
                )
        provider = known.provider(self.kind, name)
        return provider and f"unknown {self.kind} '{name}': {provider}"

    def _absent(self, name: str) -> str:
        """Why there is no component `name`, or what else could be meant."""
        there = f"Known: {', '.join(self) or 'none'}"
        if reason := self.elsewhere(name):
            return f"{reason}. {there}"
        close = suggestions(name, sorted({*self, *known.names(self.kind)}))
        return f"unknown {self.kind} '{name}'.{close} {there}"

    def _claim(self, name: str) -> Claim:
        found = [claim for claim in metadata().claims[self.group] if claim.name == name]
        if not found:
            raise UserError(self._absent(name))
        if len(found) > 1:
            owners = " and ".join(f"{claim.owner} ({claim.file})" for claim in found)
            raise UserError(f"{self.kind} '{name}' is claimed by {owners}; uninstall one of them")
        return found[0]


def _place(component: type[Any]) -> str:
    """Where a class was defined."""
    return f"{component.__module__}:{component.__qualname__}"


def _imported(claim: Claim, what: str, base: Any) -> Any:
    """What a claim's target is. What its module prints goes to standard error, which carries no results.

    Args:
        claim: of a distribution.
        what: is imported, for messages.
        base: the class that it extends; taken before, so that the time that core needs is not counted.
    """
    began = time.monotonic()
    try:
        with redirect_stdout(sys.stderr):
            component = entrypoints.EntryPoint.from_string(claim.target, claim.name).load()
    except (Exception, SystemExit) as error:  # a plugin can fail in any way
        raise UserError(
            f"{what} cannot be imported from {claim.target} ({claim.file}): {type(error).__name__}: {error}. "
            "Repair or uninstall that distribution."
        ) from error
    if (passed := time.monotonic() - began) > SLOW:
        print(f"note: {what} took {passed:.1f} s to import ({claim.target}, {claim.file})", file=sys.stderr)
    return component


class Functions(Registry[Any]):
    """Maps names to functions, found in the same way."""

    @property
    def base(self) -> type[Any]:
        """None in particular; what core needs for them is imported by then."""
        import_module("mmsa_core.run_folder.importing")
        return object

    def defect(self, component: Any) -> str | None:
        return None if callable(component) else "is no function"


encoders: Registry[Any] = Registry("encoder")
fusions: Registry[Any] = Registry("fusion")
distillers: Registry[Any] = Registry("distiller")
maskers: Registry[Any] = Registry("masker")
datasets: Registry[Any] = Registry("dataset")
ALL = (encoders, fusions, distillers, maskers, datasets)
"""What a recipe is made of."""
importers = Functions("importer")
"""Readers of checkpoints of other people's code; see `mmsa_core.run_folder.importing`."""
