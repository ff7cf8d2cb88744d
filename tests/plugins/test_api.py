"""What docs/plugin-api.md calls stable is there, and is all that a new package needs."""

import ast
import re
from pathlib import Path

import pytest

from mmsa_core.plugins import creating
from mmsa_core.plugins.installed import API
from mmsa_core.plugins.naming import Naming

PAGE = (Path(__file__).parents[2] / "docs" / "plugin-api.md").read_text(encoding="utf-8")


def imported(code):
    """(module, name) of everything that code imports from core."""
    found = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {(module, name) for module, name in found if module.partition(".")[0] == "mmsa_core"}


@pytest.mark.parametrize("kind", list(creating.TEMPLATES))
def test_a_new_package_imports_stable_names_alone(kind):
    stable = imported(PAGE.partition("```python\n")[2].partition("```")[0])
    modules = {tuple(module.rsplit(".", 1)) for module, _ in stable}  # `from mmsa_core import testing`
    files = creating.content(Naming("mmsa-own"), kind).items()
    used = set().union(*(imported(text) for path, text in files if path.suffix == ".py"))
    assert used
    assert used <= stable | modules


def test_the_page_states_the_version():
    assert re.search(rf"a whole number; it is {API}\.", PAGE)
    assert f'[project.entry-points.mmsa_api]\n{API} = "mmsa_core"' in PAGE
