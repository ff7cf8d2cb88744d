"""For all tests: the command, what is skipped where plugins are absent, and what hypothesis tries.

That is the same in every run; HYPOTHESIS_PROFILE=explore: new.
"""

import os

import pytest
from click.testing import CliRunner
from hypothesis import settings

from mmsa_core import registry
from mmsa_core.attention import form
from mmsa_core.cli import main

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def absent(plugins):
    """The first of some distributions that brings nothing here, not installed or switched off."""
    there = {claim.owner.split(" ")[0] for claims in registry.metadata().claims.values() for claim in claims}
    return next((name for name in plugins if name not in there), None)


def pytest_collection_modifyitems(items):
    for item in items:
        named = [name for mark in item.iter_markers("needs") for name in mark.args]
        if name := absent(named):
            item.add_marker(pytest.mark.skip(reason=f"needs the plugin {name}, which is not installed"))


@pytest.fixture
def mmsa(tmp_path, monkeypatch):
    """The command, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(main, list(map(str, arguments)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(params=[False, True], ids=["apart", "together"])
def few(request, monkeypatch):
    """Attention in both of its forms: as on a CPU, and as on other devices."""
    monkeypatch.setattr(form, "FEW", request.param)
