"""The installed distributions that bring something to mmsa, and the state of each."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from mmsa_core.doctor.asking import Item

CORE = "mmsa-core"
OK, BROKEN, INCOMPATIBLE, BLOCKED = "ok", "broken", "incompatible", "blocked"


def items() -> list[Item]:
    """What the probe is to be asked: every component."""
    from mmsa_core import registry

    tables = (*registry.ALL, registry.importers)
    return [["component", table.kind, name] for table in tables for name in table]


def states(answers: Iterable[tuple[Item, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Name, version, state, what it brings, and every problem of each distribution."""
    from mmsa_core import registry
    from mmsa_core.recipes import installed

    problems = {(kind, name): found["problem"] for (_, kind, name), found in answers if "problem" in found}
    metadata, recipes = registry.metadata(), installed.survey()
    known: dict[str, dict[str, Any]] = {}

    def of(owner: str) -> dict[str, Any]:
        name, number = owner.split(" ", 1)
        fresh = {"name": name, "version": number, "state": OK, "components": 0, "recipes": 0, "problems": []}
        return known.setdefault(owner, fresh)

    for owner in metadata.distributions:
        of(owner)
    for group, claims in metadata.claims.items():
        kind = group.removeprefix("mmsa.").removesuffix("s")
        for claim in claims:
            about = of(claim.owner)
            about["components"] += group != installed.GROUP
            if (kind, claim.name) in problems:
                about["problems"].append(problems[kind, claim.name])
    for brought in recipes.recipes.values():
        for recipe in brought:
            of(recipe.owner)["recipes"] += 1
    for problem in (*metadata.problems, *recipes.problems):
        owner, _, text = problem.partition(": ")
        of(owner)["problems"].append(text)
    refused = {each.owner: each.incompatible for each in metadata.distributions.values() if each.incompatible}
    for owner in refused:
        of(owner)
    for owner, about in known.items():
        about["state"] = BROKEN if about["problems"] else OK
        for unmet in filter(None, (misfit(about["name"]), refused.get(owner))):
            about["state"], about["problems"] = INCOMPATIBLE, [unmet, *about["problems"]]
    return [*sorted(known.values(), key=lambda each: (each["name"] != CORE, each["name"])), *_blocked()]


def misfit(name: str) -> str | None:
    """Which version of core a distribution needs, if that is not the one that is installed."""
    try:
        needed = [text for text in requires(name) or () if re.match(rf"{CORE}\b", text)]
        if not needed:
            return None
        from packaging.requirements import Requirement

        wanted, found = Requirement(needed[0]).specifier, version(CORE)
        return None if wanted.contains(found, prereleases=True) else f"needs {CORE}{wanted}, found {found}"
    except (PackageNotFoundError, ImportError, ValueError):
        return None  # without metadata or the library that compares versions, nothing is known


def _blocked() -> list[dict[str, Any]]:
    from mmsa_core.plugins import installed

    found: list[dict[str, Any]] = []
    for name in sorted(installed.blocked()):
        try:
            found.append({"name": name, "version": version(name), "state": BLOCKED, "problems": []})
        except PackageNotFoundError:
            found.append({"name": name, "version": None, "state": BLOCKED, "problems": ["is not installed"]})
    return found
