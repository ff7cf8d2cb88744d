"""Golden sets: numbers of public reference code, read from the folder that MMSA_GOLDEN names.

A module marked `golden("dkd")` whose test takes `golden_set` runs once for every set whose name starts
with a prefix; `golden_name` gives the name alone, `exclude=(...)` leaves prefixes out. Without the
folder, or without such a set, the test is skipped and says why.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class GoldenSet:
    name: str
    json: dict[str, Any]
    tensors: dict[str, Tensor]


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "golden(*prefixes, exclude=()): run for each golden set whose name starts with a prefix"
    )


def pytest_generate_tests(metafunc):
    argument = next((name for name in ("golden_set", "golden_name") if name in metafunc.fixturenames), None)
    if argument is None:
        return
    marker = metafunc.definition.get_closest_marker("golden")
    assert marker is not None, f"{metafunc.definition.nodeid}: takes {argument}, but is not marked golden(...)"
    names = [name for name in _names() if _chosen(name, marker.args, marker.kwargs.get("exclude", ()))]
    metafunc.parametrize(argument, names or [_none(marker.args)], indirect=argument == "golden_set")


@pytest.fixture
def golden_dir() -> Path:
    if not _folder().is_dir():
        pytest.skip("no folder of golden sets: set MMSA_GOLDEN")
    return _folder()


@pytest.fixture
def golden_set(request, golden_dir) -> GoldenSet:
    return _read(golden_dir, request.param)


@pytest.fixture
def other_golden(golden_dir):
    """Read another set by its name."""
    return lambda name: _read(golden_dir, name)


def _read(folder: Path, name: str) -> GoldenSet:
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return GoldenSet(name, content, load_file(folder / f"{name}.safetensors"))


def _folder() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
    return Path(os.environ.get("MMSA_GOLDEN") or beside)


def _names() -> list[str]:
    return sorted({file.stem for file in _folder().glob("*") if file.suffix in {".json", ".safetensors"}})


def _chosen(name: str, prefixes: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    return name.startswith(prefixes or "") and not name.startswith(tuple(exclude))


def _none(prefixes: tuple[str, ...]):
    kind = f"named {' or '.join(prefixes)}*" if prefixes else "of this kind"
    reason = f"no golden set {kind}" if _folder().is_dir() else "no folder of golden sets: set MMSA_GOLDEN"
    return pytest.param("absent", marks=pytest.mark.skip(reason=reason))
