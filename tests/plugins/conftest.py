"""Distributions in a folder that is first on the import path, as an installer would have left them."""

import importlib.util
import sys
from pathlib import Path

import pytest

from mmsa_core import registry

spec = importlib.util.spec_from_file_location("installing", Path(__file__).parents[1] / "installing.py")
installing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(installing)


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder):
        self.folder = folder
        self.packages = set()

    def declare(self, *about, **more):
        """The metadata of a distribution."""
        info = installing.declare(self.folder, *about, **more)
        registry.metadata.cache_clear()
        return info

    def editable(self, package):
        """What `pip install -e` makes of a package."""
        self.packages.add(installing.editable(package, self.folder))
        registry.metadata.cache_clear()


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
