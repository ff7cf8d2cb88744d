"""A new package with one component that conforms, from the templates beside this file."""

import os
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmsa_core.errors import UserError
from mmsa_core.plugins.installed import API
from mmsa_core.plugins.naming import Naming, naming


@dataclass(frozen=True)
class Template:
    """The component that a package begins with: what its author replaces."""

    module: str
    title: str
    """Its class."""
    snippet: str
    """How it stands in a recipe; COMPONENT is its name."""
    data: tuple[str, ...] = ()
    """Files that belong to it."""


TEMPLATES = {
    "distiller": Template(
        "similarity",
        "SimilarityDistillation",
        "teacher: {kind: trained}\ndistillers:\n  similarity: {name: COMPONENT, weight: 1.0}",
    ),
    "encoder": Template("attentive", "AttentivePooling", "model:\n  encoders:\n    text: {name: COMPONENT}"),
    "fusion": Template("average", "Average", "model:\n  fusion: {name: COMPONENT}"),
    "masker": Template("ending", "Ending", "masker: {name: COMPONENT, rate: 0.8}"),
    "dataset": Template("clip_table", "ClipTable", "data: {name: COMPONENT, path: clips.csv}", ("example.csv",)),
}
COMMON = {
    "pyproject.toml.jinja": "pyproject.toml",
    "README.md.jinja": "README.md",
    "CHANGELOG.md.jinja": "CHANGELOG.md",
    "tests.yml.jinja": ".github/workflows/tests.yml",
    "gitignore.jinja": ".gitignore",
    "recipe.yaml.jinja": "PACKAGE/recipes/PREFIX.yaml",
}
"""Templates of every package, and where they go."""


def create(name: str, kind: str, folder: Path) -> tuple[Naming, list[Path]]:
    """Write the package into `folder`, a new one, whole or not at all; returns its names and its files."""
    names = naming(name)
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder} exists, and nothing in it is overwritten; name a new folder with --out")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"--out {folder}: there is no folder {folder.parent}; make it first")
    written = content(names, kind)
    with TemporaryDirectory(prefix=".new-", dir=folder.absolute().parent) as place:
        whole = Path(place) / "package"
        for path, text in written.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_text(text, encoding="utf-8", newline="\n")
        os.rename(whole, folder)
    return names, list(written)


def content(names: Naming, kind: str) -> dict[Path, str]:
    """Every file of a package of one component."""
    template = TEMPLATES[kind]
    component = f"{names.prefix}.{template.module}"
    values = {
        "name": names.distribution,
        "package": names.import_name,
        "prefix": names.prefix,
        "kind": kind,
        "module": template.module,
        "title": template.title,
        "component": component,
        "about": f"The {kind} {component}",
        "snippet": template.snippet.replace("COMPONENT", component),
        "core": fitting(version("mmsa-core")),
        "api": API,
    }
    environment = Environment(  # noqa: S701 - the files are no HTML, and names hold letters, digits and . _ - alone
        loader=PackageLoader("mmsa_core.plugins", "template"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = Path(names.import_name)
    rendered = {
        Path(where.replace("PACKAGE", names.import_name).replace("PREFIX", names.prefix)): f"package/{source}"
        for source, where in COMMON.items()
    }
    rendered[Path("tests") / f"test_{template.module}.py"] = f"{kind}/test_{template.module}.py.jinja"
    found = {path: environment.get_template(source).render(values) for path, source in rendered.items()}
    found[package / "__init__.py"] = f'"""The {kind} {component} for mmsa."""\n'
    found[package / "py.typed"] = ""
    own = files("mmsa_core.plugins").joinpath("template", kind)
    for name in (f"{template.module}.py", *template.data):
        found[package / name] = own.joinpath(name).read_text(encoding="utf-8")
    return dict(sorted(found.items()))


def fitting(core: str) -> str:
    """The versions of core whose API is this one's: `>=0.1,<0.2` for 0.1.3."""
    major, minor = (int(part) for part in core.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}"
