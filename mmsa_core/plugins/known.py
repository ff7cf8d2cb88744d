"""Packages that are known to provide components, for the message where one of them is not installed."""

import tomllib
from functools import cache
from importlib.resources import files

from mmsa_core.plugins import installed


@cache
def packages() -> dict[str, dict[str, list[str]]]:
    """The names of each package's components, by kind."""
    text = files("mmsa_core.plugins").joinpath("known_packages.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = tomllib.loads(text)
    return found


def names(kind: str) -> list[str]:
    """Every known component of a kind, installed or not."""
    return [name for kinds in packages().values() for name in kinds.get(kind, [])]


def provider(kind: str, name: str) -> str | None:
    """Where a component that is not there could come from, in words; None if nobody is known to have it."""
    package = next((package for package, kinds in packages().items() if name in kinds.get(kind, [])), None)
    if package is None:
        return None
    if package in installed.blocked():
        return f"the package {package} provides it, and MMSA_PLUGINS_BLOCK switches that off"
    for there in installed.metadata().distributions.values():
        if there.name == package:
            return (
                f"the package {package} provides it, but the installed {there.owner} does not; install another version"
            )
    return f"the package {package} provides it, and is not installed"
