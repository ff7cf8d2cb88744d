"""Distributions in a folder that is first on the import path, as an installer would have left them."""

import sys
import tomllib

import pytest

from mmsa_core import registry


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder):
        self.folder = folder
        self.packages = set()

    def declare(self, name, entry_points, version="0.1.0", summary=""):
        """The metadata of a distribution."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [line for group, names in entry_points.items() for line in (f"[{group}]", *names)]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nSummary: {summary}\n\nSummary: of another\n"
        )
        registry.metadata.cache_clear()
        return info

    def editable(self, package):
        """What `pip install -e` makes of a package's pyproject.toml."""
        settings = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
        project = settings["project"]
        points = {group: [f"{k} = {v}" for k, v in found.items()] for group, found in project["entry-points"].items()}
        (name,) = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        (self.folder / name).symlink_to((package / name).absolute())
        self.packages.add(name)
        self.declare(project["name"], points, project["version"], project["description"])


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    for table in (*registry.ALL, registry.importers):
        monkeypatch.setattr(table, "_loaded", dict(table._loaded))
    registry.metadata.cache_clear()
    found = Site(folder)
    yield found
    registry.metadata.cache_clear()
    for module in [each for each in sys.modules if each.split(".")[0] in found.packages]:
        del sys.modules[module]
