"""Component tables, filled by entry points: how core and plugins are found. Imports no torch.

A component is found by the name that its package declares in `pyproject.toml`:

    [project.entry-points."mmsa.distillers"]
    "corrkd.scd" = "mmsa_corrkd.scd:SampleContrastive"

Core declares its own components in the same way, so a plugin has no smaller rights than core.
Names are read from metadata; a class is imported when it is first asked for.
"""

import configparser
import glob
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import entrypoints
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from mmsa_core import unreadable
from mmsa_core.errors import UserError

T = TypeVar("T")
GROUPS = ("mmsa.encoders", "mmsa.fusions", "mmsa.distillers", "mmsa.maskers", "mmsa.datasets", "mmsa.importers")


@dataclass(frozen=True)
class Claim:
    """One distribution's claim to a component name."""

    name: str
    target: str
    owner: str
    file: Path
    """The entry_points.txt that declares it."""


@dataclass(frozen=True)
class Metadata:
    """What the installed distributions declare, and what could not be read of it."""

    claims: dict[str, tuple[Claim, ...]]
    problems: tuple[str, ...]


def blocked() -> set[str]:
    """Distributions that `MMSA_PLUGINS_BLOCK=name,...` switches off."""
    return {canonical(name) for name in os.environ.get("MMSA_PLUGINS_BLOCK", "").split(",") if name.strip()}


def canonical(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return name.strip().lower().replace("_", "-").replace(".", "-")


SLOW = 2.0
"""Seconds that a component may take to import until its owner is named."""


@cache
def metadata() -> Metadata:
    """Read every distribution's entry points, each file by itself.

    A file that is malformed, repeats a key or names an impossible target is reported with its
    distribution and version; everything else goes on working.
    """
    claims: dict[str, list[Claim]] = {group: [] for group in GROUPS}
    problems: list[str] = []
    seen: set[str] = set()
    for path in entry_point_files():
        info = entrypoints.Distribution.from_name_version(path.parent.stem)
        name = canonical(info.name)
        if name in seen or name in blocked():
            continue
        seen.add(name)
        owner = f"{name} {info.version or '(no version)'}"
        parser = entrypoints.CaseSensitiveConfigParser(delimiters=("=",), interpolation=None)
        content = b""
        try:
            content = path.read_bytes()
            parser.read_string(content.decode())
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            unreadable.hide(path)
            if "mmsa" in name or b"mmsa." in content:  # the other distributions are not our business
                problems.append(f"{owner}: its entry points cannot be read ({path}): {' '.join(str(error).split())}")
            continue
        for group in set(GROUPS) & set(parser.sections()):
            for key, target in parser[group].items():
                try:
                    entrypoints.EntryPoint.from_string(target, key)
                except entrypoints.BadEntryPoint:
                    problems.append(f"{owner}: [{group}] {key} = {target!r} is not module:Class ({path})")
                else:
                    claims[group].append(Claim(key, target, owner, path))
    if problems and os.environ.get("MMSA_PLUGINS_STRICT") == "1":
        raise UserError("\n".join(f"broken plugin (MMSA_PLUGINS_STRICT=1): {problem}" for problem in problems))
    return Metadata({group: tuple(found) for group, found in claims.items()}, tuple(problems))


def entry_point_files() -> Iterator[Path]:
    """The entry_points.txt of every distribution on the import path, first come first."""
    for folder in dict.fromkeys(sys.path):
        root = glob.escape(folder or ".")
        for pattern in ("*.dist-info", "*.egg-info"):
            yield from (Path(p) for p in sorted(glob.glob(os.path.join(root, pattern, "entry_points.txt"))))


def suggestions(name: str, known: Sequence[str]) -> str:
    """` Did you mean ...?` with the known names that are close, or that end in `name`; else nothing."""
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
            known = PydanticCustomError("component", "{problem}", {"problem": str(error)})
            defect = InitErrorDetails(type=known, loc=("name",), input=name)
            raise ValidationError.from_exception_data(self.kind, [defect]) from error
        return component.Config.model_validate(data)

    def _claim(self, name: str) -> Claim:
        found = [claim for claim in metadata().claims[self.group] if claim.name == name]
        if not found:
            known = ", ".join(self) or "none"
            raise UserError(f"unknown {self.kind} '{name}'.{suggestions(name, list(self))} Known: {known}")
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
