"""What the name of a new package makes of its modules and components, and which names are refused."""

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.plugins import known
from mmsa_core.plugins.installed import metadata
from mmsa_core.recipes import installed as recipes

DISTRIBUTION = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", re.ASCII)
"""A distribution's name (PEP 508)."""


@dataclass(frozen=True)
class Naming:
    """The names of one package: `mmsa-rkd` has the module `mmsa_rkd` and components `rkd.NAME`."""

    distribution: str

    @property
    def import_name(self) -> str:
        """The Python package."""
        return re.sub(r"[-_.]+", "_", self.distribution).lower()

    @property
    def prefix(self) -> str:
        """What its components' names begin with."""
        return self.import_name.removeprefix("mmsa_")


def naming(name: str) -> Naming:
    """The names of a new package.

    Raises:
        UserError: where they are not allowed, or taken.
    """
    if not DISTRIBUTION.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a package: expected letters and digits, with . _ - between them (PEP 508), such as "
            "mmsa-rkd"
        )
    found = Naming(name)
    for called in (found.import_name, found.prefix):
        if not called.isidentifier() or keyword.iskeyword(called):
            what = "a keyword of Python" if keyword.iskeyword(called) else "no identifier of Python"
            raise UserError(f"{name!r} cannot name a package: {called!r} would be a module or prefix, and is {what}")
    if taken := _installed(found):
        raise UserError(f"{name!r} cannot name a new package: {taken}; choose another name")
    if taken := _component(found.prefix):
        raise UserError(
            f"{name!r} cannot name a new package: its components would be called {found.prefix}.NAME, and {taken}; "
            "choose another name"
        )
    if owner := _recipe(found.prefix):
        raise UserError(
            f"{name!r} cannot name a new package: its recipe would be called {found.prefix}, and {owner} brings one of "
            "that name; choose another name"
        )
    return found


def _recipe(name: str) -> str | None:
    """Who brings a recipe of this name."""
    there = recipes.survey().recipes.get(name)
    return there[0].owner if there else None


def _installed(found: Naming) -> str | None:
    """What is installed under these names."""
    try:
        return f"the distribution {found.distribution} {version(found.distribution)} is installed"
    except PackageNotFoundError:
        pass
    if found.import_name in sys.stdlib_module_names or find_spec(found.import_name) is not None:
        return f"there is a module {found.import_name} already"
    return None


def _component(prefix: str) -> str | None:
    """Whose component has this name, or begins with it."""
    for table in (*registry.ALL, registry.importers):
        claims = (*metadata().claims[table.group], *metadata().refused[table.group])
        owned = {claim.name: claim.owner for claim in claims}
        owned |= {name: package for package, kinds in known.packages().items() for name in kinds.get(table.kind, [])}
        for name, owner in owned.items():
            if name.split(".")[0] == prefix:
                return f"{table.kind} '{name}' is of {owner}"
    return None
