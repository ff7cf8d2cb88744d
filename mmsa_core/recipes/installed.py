"""Recipes that installed distributions bring: found by name, read as files, nothing of a plugin is imported.

A distribution names the package that holds its YAML files; each is a recipe with the name of its file:

    [project.entry-points."mmsa.recipes"]
    corrkd = "mmsa_corrkd.recipes"
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.plugins import known
from mmsa_core.registry import Claim

GROUP = "mmsa.recipes"
ENDINGS = (".yaml", ".yml")
HEAD = 4096
"""Characters of a recipe that its first comment is looked for in."""
SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z\"])")
"""Between two sentences."""


@dataclass(frozen=True)
class Installed:
    """A recipe of a distribution."""

    name: str
    file: Path
    owner: str
    """Name and version of the distribution."""


@dataclass(frozen=True)
class Found:
    """The recipes of all distributions, by name, and what could not be found."""

    recipes: Mapping[str, Sequence[Installed]]
    problems: Sequence[str]


def survey() -> Found:
    """Look into the packages that the installed distributions name."""
    recipes: dict[str, dict[Path, Installed]] = {}
    problems = []
    for claim in registry.metadata().claims[GROUP]:
        try:
            files = [file for folder in _folders(claim) for file in folder.iterdir() if file.suffix in ENDINGS]
        except (ImportError, ValueError, OSError) as error:
            problems.append(f"{claim.owner}: its recipes cannot be found in {claim.target} ({claim.file}): {error}")
            continue
        if not files:
            problems.append(f"{claim.owner}: there is no recipe in {claim.target} ({claim.file})")
        for file in files:
            recipes.setdefault(file.stem, {})[file.resolve()] = Installed(file.stem, file, claim.owner)
    return Found({name: [*recipes[name].values()] for name in sorted(recipes)}, problems)


def _folders(claim: Claim) -> list[Path]:
    """Where a claim's package lies; only how its topmost package is found is asked, which runs none of its code."""
    top, *below = claim.target.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"there is no package {top}")
    folders = [Path(each, *below) for each in spec.submodule_search_locations]
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        raise ImportError(f"there is no folder {folders[0]}")
    return there


def find(name: str) -> Installed:
    """The recipe of that name.

    Raises:
        UserError: where no distribution brings it, or several do.
    """
    found = survey()
    if name not in found.recipes:
        provider = known.provider("recipe", name)
        whose = dict.fromkeys(claim.owner for claim in registry.metadata().refused[GROUP])
        refused = [
            f"{each} brings recipes, and was {registry.metadata().distributions[each].incompatible}" for each in whose
        ]
        hint = (
            f" {provider[0].upper()}{provider[1:]}."
            if provider
            else registry.suggestions(name, [*found.recipes, *known.names("recipe")])
        )
        said = f"no recipe '{name}': there is no such file, and none installed.{hint}"
        raise UserError("\n".join([f"{said} Known: {', '.join(found.recipes) or 'none'}", *found.problems, *refused]))
    first, *others = found.recipes[name]
    if others:
        owners = " and ".join(f"{each.owner} ({each.file})" for each in (first, *others))
        raise UserError(f"the recipe '{name}' is brought by {owners}; give the path of one, or uninstall the other")
    return first


def located(given: Path) -> Path:
    """The file of a recipe that was given by path or by name; a file that exists wins.

    Raises:
        UserError: where it is neither.
    """
    return given if given.is_file() or not _is_name(given) else find(str(given)).file


def origin(given: Path) -> dict[str, str]:
    """For provenance: the path of a recipe, or its name with the distribution that brings it."""
    if located(given) == given:
        return {"file": str(given)}
    recipe = find(str(given))
    distribution, version = recipe.owner.split(" ", 1)
    return {"name": recipe.name, "distribution": distribution, "version": version}


def hint(given: Path) -> str:
    """`; the installed recipe is named ...`, where a path leads nowhere and its last part is such a name."""
    name = given.stem if given.suffix in ENDINGS else given.name
    there = name in survey().recipes and not given.exists()
    return f"; an installed recipe is named without path and ending: {name}" if there else ""


def about(recipe: Installed) -> str:
    """The first sentence of the comment that a recipe begins with."""
    try:
        with recipe.file.open(encoding="utf-8", errors="replace") as file:
            head = file.read(HEAD).splitlines()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    comment = " ".join(line.lstrip("# ").rstrip() for line in takewhile(lambda line: line.startswith("#"), head))
    return SENTENCE.split(comment, maxsplit=1)[0]


def copy(recipe: Installed, file: Path) -> Path:
    """Write a recipe as it is to a new file.

    Raises:
        UserError: if it exists.
    """
    content = recipe.file.read_bytes()
    try:
        with file.open("xb") as copied:
            copied.write(content)
    except FileExistsError as error:
        raise UserError(f"{file}: exists, and nothing is overwritten; name a new file") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); make its folder, or name another") from error
    return file


def _is_name(given: Path) -> bool:
    return given.name == str(given) and given.suffix not in ENDINGS
