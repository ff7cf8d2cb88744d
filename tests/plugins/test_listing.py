"""`mmsa list` says what is there and whose it is, and imports nothing for it."""

import json
import os
import re
import subprocess
import sys

from mmsa_core import registry

CODE = """
import sys
from click.testing import CliRunner
from mmsa_core.cli import main
for arguments in (["list"], ["list", "--json"]):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "relational" in result.output
heavy = ("torch", "numpy", "pydantic", "pydantic_core", "yaml", "rich", "jinja2", "wandb", "sklearn", "matplotlib")
loaded = [m for m in sys.modules if m.split(".")[0] in (*heavy, "mmsa_corrkd", "mmsa_dmd")]
assert not loaded, loaded
"""


def test_nothing_is_imported():
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_every_component_has_its_owner_and_its_summary(site, mmsa):
    site.declare("mmsa-own", {"mmsa.maskers": ["own.mask = own_mask:Mask"]}, "2.1", "Own masks.\n for all")
    rows = json.loads(mmsa("list", "--json").stdout)
    for table in (*registry.ALL, registry.importers):
        assert {row["name"] for row in rows if row["kind"] == table.kind} == set(table)
    (own,) = [row for row in rows if row["name"] == "own.mask"]
    assert own == {
        "kind": "masker",
        "name": "own.mask",
        "distribution": "mmsa-own",
        "version": "2.1",
        "summary": "Own masks. for all",
        "problem": None,
    }
    lines = mmsa("list").stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [
        [row["kind"], row["name"], row["distribution"], row["version"]] for row in rows
    ]
    (line,) = [line for line in lines if "own.mask" in line]
    assert line.endswith("  Own masks. for all")
    assert len({re.match(r"\S+ +\S+ +", line).end() for line in lines}) == 1  # in columns


def test_a_summary_cannot_steer_a_terminal(site, mmsa):
    site.declare("mmsa-own", {"mmsa.maskers": ["own.mask = own_mask:Mask"]}, summary="clear\x1b[2Jall")
    assert r"clear\x1b[2Jall" in mmsa("list").stdout


def test_a_distribution_without_metadata(site, mmsa):
    info = site.declare("mmsa-own", {"mmsa.maskers": ["own.mask = own_mask:Mask"]})
    (info / "METADATA").unlink()
    (line,) = [line for line in mmsa("list", "maskers").stdout.splitlines() if "own.mask" in line]
    assert line.split() == ["masker", "own.mask", "mmsa-own", "0.1.0"]


def test_a_name_claimed_twice(site, mmsa):
    site.declare("mmsa-rival", {"mmsa.fusions": ["concat = other:Concat"]})
    lines = [line for line in mmsa("list", "fusions").stdout.splitlines() if line.split()[1] == "concat"]
    assert [line.split()[2] for line in lines] == ["mmsa-core", "mmsa-rival"]
    assert all(line.endswith("! claimed by 2 distributions; uninstall all but one") for line in lines)
