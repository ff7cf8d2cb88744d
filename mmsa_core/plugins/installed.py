"""What the installed distributions declare, read from their metadata; nothing of theirs is imported."""

import configparser
import glob
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import entrypoints

from mmsa_core import unreadable
from mmsa_core.errors import UserError

GROUPS = (
    *("mmsa.encoders", "mmsa.fusions", "mmsa.distillers", "mmsa.maskers", "mmsa.datasets"),
    *("mmsa.importers", "mmsa.recipes"),
)
API_GROUP = "mmsa_api"
"""The group whose entry points are named by the versions of core's API that a distribution was written for."""
API = "1"
"""The version of core's API: what `docs/plugin-api.md` calls stable."""
UNSTATED = ("1",)
"""What a distribution was written for that states nothing."""


@dataclass(frozen=True)
class Claim:
    """One distribution's claim to a component name."""

    name: str
    target: str
    owner: str
    file: Path
    """The entry_points.txt that declares it."""


@dataclass(frozen=True)
class Distribution:
    """An installed distribution that has to do with mmsa."""

    name: str
    version: str | None
    folder: Path
    """Of its metadata."""
    api: tuple[str, ...] = UNSTATED
    """The versions of core's API that it was written for."""

    @property
    def owner(self) -> str:
        """Its name and version, for messages."""
        return f"{self.name} {self.version or '(no version)'}"

    @property
    def incompatible(self) -> str | None:
        """Why its components are not loaded; None where they are."""
        return None if API in self.api else f"written for core API {' and '.join(self.api)}, this core has API {API}"


@dataclass(frozen=True)
class Metadata:
    """What the installed distributions declare, and what could not be read of it."""

    claims: dict[str, tuple[Claim, ...]]
    problems: tuple[str, ...]
    refused: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    """Claims of distributions that were written for another API."""
    distributions: dict[str, Distribution] = field(default_factory=dict)
    """Those that declare components, or fail to, by name and version."""


def blocked() -> set[str]:
    """Distributions that `MMSA_PLUGINS_BLOCK=name,...` switches off."""
    return {canonical(name) for name in os.environ.get("MMSA_PLUGINS_BLOCK", "").split(",") if name.strip()}


def canonical(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return name.strip().lower().replace("_", "-").replace(".", "-")


@cache
def metadata() -> Metadata:
    """Read every distribution's entry points, each file by itself.

    A file that is malformed, repeats a key or names an impossible target is reported with its
    distribution and version; everything else goes on working.
    """
    claims: dict[str, list[Claim]] = {group: [] for group in GROUPS}
    refused: dict[str, list[Claim]] = {group: [] for group in GROUPS}
    problems: list[str] = []
    distributions: dict[str, Distribution] = {}
    seen: set[str] = set()
    for path in entry_point_files():
        info = entrypoints.Distribution.from_name_version(path.parent.stem)
        name = canonical(info.name)
        if name in seen or name in blocked():
            continue
        seen.add(name)
        found = Distribution(name, info.version, path.parent)
        parser = entrypoints.CaseSensitiveConfigParser(delimiters=("=",), interpolation=None)
        content = b""
        try:
            content = path.read_bytes()
            parser.read_string(content.decode())
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            unreadable.hide(path)
            if "mmsa" in name or b"mmsa." in content:  # the other distributions are not our business
                said = " ".join(str(error).split())
                problems.append(f"{found.owner}: its entry points cannot be read ({path}): {said}")
                distributions[found.owner] = found
            continue
        groups = [group for group in GROUPS if parser.has_section(group)]
        for odd in sorted({each for each in parser.sections() if each.startswith("mmsa.")} - set(GROUPS)):
            problems.append(f"{found.owner}: there is no group [{odd}]; there are {', '.join(GROUPS)} ({path})")
            distributions[found.owner] = found
        if not groups:
            continue
        if parser.has_section(API_GROUP):
            found = Distribution(name, info.version, path.parent, tuple(parser[API_GROUP]))
        distributions[found.owner] = found
        into = refused if found.incompatible else claims
        for group in groups:
            for key, target in parser[group].items():
                try:
                    entrypoints.EntryPoint.from_string(target, key)
                except entrypoints.BadEntryPoint:
                    problems.append(f"{found.owner}: [{group}] {key} = {target!r} is not module:Class ({path})")
                else:
                    into[group].append(Claim(key, target, found.owner, path))
    if problems and os.environ.get("MMSA_PLUGINS_STRICT") == "1":
        raise UserError("\n".join(f"broken plugin (MMSA_PLUGINS_STRICT=1): {problem}" for problem in problems))
    return Metadata(_frozen(claims), tuple(problems), _frozen(refused), distributions)


def entry_point_files() -> Iterator[Path]:
    """The entry_points.txt of every distribution on the import path, first come first."""
    for folder in dict.fromkeys(sys.path):
        root = glob.escape(folder or ".")
        for pattern in ("*.dist-info", "*.egg-info"):
            yield from (Path(p) for p in sorted(glob.glob(os.path.join(root, pattern, "entry_points.txt"))))


def _frozen(claims: dict[str, list[Claim]]) -> dict[str, tuple[Claim, ...]]:
    return {group: tuple(found) for group, found in claims.items()}
