"""Every command and code block of README, CONTRIBUTING and the plugins' READMEs is executed.

`mmsa train` gets a smaller corpus, one epoch and at most two seeds here, so that the commands end soon;
otherwise blocks run as they stand, in the order of the page (code that makes files first), in a folder of
their own. A block beneath the name of a file, as "`folder/file.py`:", is compared with that file, which commands
above it wrote. A package that they wrote is installed by `pip install -e`. `make train` and `make test` are run by CI;
here it is looked at what they do with `make -n`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from mmsa_core.recipes import recipe_yaml

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/index.md",
    "docs/concepts.md",
    "docs/metrics.md",
    "docs/faq.md",
    "docs/calibration.md",
    "docs/clusters.md",
    "docs/corpora.md",
    "docs/data.md",
    "docs/distributed.md",
    "docs/masks.md",
    "docs/statistics.md",
    "docs/experiments.md",
    "docs/export.md",
    "docs/reports.md",
    "docs/plugin-api.md",
    "docs/protocols.md",
    "docs/python.md",
    "docs/recipes.md",
    "docs/representations.md",
    "docs/runs.md",
    "docs/sweeps.md",
    "docs/testing-plugins.md",
    "docs/write-a-distiller.md",
    "plugins/mmsa-corrkd/README.md",
    "plugins/mmsa-dmd/README.md",
]
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w*)\n(.*?)^```", re.M | re.S)
SHIM = """#!/bin/bash
if [ "$1" = train ] || [ "$1" = ablate ]; then
  small=(--set train.epochs=1 --jobs 1)
  case "$*" in *data.name*) ;; *) small+=(--set "data.samples=[40,20,20]") ;; esac
  case "$*" in *--seeds*) small+=(--seeds 1111,1112) ;; esac
  exec {client} "$@" "${{small[@]}}"
fi
exec {client} "$@"
"""
WARM = Path(__file__).with_name("warm.py")


def beside(name):
    """A module of this folder."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page):
    """The name of the file that a block is, its language and its text."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def client():
    """A program that runs `mmsa` commands in forks of a process that has imported everything."""
    with tempfile.TemporaryDirectory() as short:  # a socket's path may have 107 characters
        listening, program = Path(short) / "socket", Path(short) / "client"
        program.write_text(beside("warm").client(listening))
        program.chmod(0o755)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            [sys.executable, WARM, listening], env=environment, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout.readline() == "ready\n"
            yield program
            server.kill()


@pytest.fixture
def folder(tmp_path, client):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    shim = tmp_path / "bin" / "mmsa"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(client=client))
    shim.chmod(0o755)
    return tmp_path


def run(command, folder):
    path = f"{folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    environment["PYTHONPATH"] = str(folder / "site")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def elsewhere(line):
    """Set-up, which CI does before it gets here."""
    return line.startswith(("make ", "pip install"))


def install(code, folder):
    """The packages that a page writes and then installs."""
    for name in re.findall(r"^pip install -e (\S+)$", code, re.M):
        if (folder / name).is_dir():
            beside("installing").editable(folder / name, folder / "site")


@pytest.mark.needs("mmsa-corrkd", "mmsa-dmd")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs(page, folder):
    found = blocks(page)
    languages = {language for file, language, _ in found if not file}
    assert languages <= {"bash", "python", "yaml", "text"}, "a block of another language"
    for file, language, code in found:
        if language == "python" and not file:
            (folder / "block.py").write_text(code)
            run(f"{sys.executable} block.py", folder)
    for number, (file, language, code) in enumerate(found):
        if file:
            assert (folder / file).read_text(encoding="utf-8") == code, file
        elif language == "yaml":  # sections of a recipe: they replace those of a whole one
            whole = yaml.safe_load((folder / "recipes" / "corrkd.yaml").read_text()) | yaml.safe_load(code)
            (folder / f"block{number}.yaml").write_text(yaml.safe_dump(whole))
            run(f"mmsa check block{number}.yaml", folder)
        elif language == "bash":
            run("\n".join(line for line in code.splitlines() if not elsewhere(line)), folder)
            install(code, folder)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("train", "mmsa train recipes/corrkd.yaml"),
        ("test", '-m pytest -m "not slow" -n auto --maxprocesses 8 --dist loadfile'),
    ],
)
def test_the_two_commands(target, expected, tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "VIRTUAL_ENV"))}
    done = subprocess.run(["make", "-n", target], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1].endswith(expected)
    assert f"make {target}" in (ROOT / "README.md").read_text()


def test_no_placeholder_is_left():
    for page in PAGES:
        assert not re.search(r"^(RESULTS|TODO|TBD)", (ROOT / page).read_text(), re.M), page


def test_ci_calls_the_readmes_test_command():
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_links_of_a_page_lead_somewhere():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if target.startswith(("methods/", "reference/", "project/")):
                continue  # made for the site, whose build holds these links
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_what_security_says_is_so():
    """What no block can show: limits, the files that are named, and what pip-audit reads, which needs a network."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    said = f"{recipe_yaml.LONGEST:,} characters, {recipe_yaml.MOST:,} keys and values"
    assert said in text
    assert f"at most {recipe_yaml.DIGITS} digits" in " ".join(text.split())
    for name in re.findall(r"`([\w/]+\.(?:py|txt))`", text):
        assert (ROOT / name).is_file(), name
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+|#.*|", pin) for pin in pins)


def test_a_recipe_of_the_readmes_table_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| recipe |") : text.index("All but the last")]
    named = set(re.findall(r"`([\w-]+\.yaml)`", table))
    assert named == {path.name for path in (ROOT / "recipes").glob("*.yaml")}
