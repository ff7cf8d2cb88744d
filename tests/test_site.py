"""The documentation site is built from the repository, without a broken link and without anything from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmsa_core import registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_of_docs_is_a_page(site):
    for path in (ROOT / "docs").rglob("*.md"):
        assert (site / path.relative_to(ROOT / "docs").with_suffix(".html")).exists()


def test_every_component_has_a_place(site):
    for table in registry.ALL:
        page = (site / "reference" / f"{table.kind}s.html").read_text(encoding="utf-8")
        for name in table:
            assert f'id="{name.replace(".", "-")}"' in page


def test_the_recipe_reference_has_every_section(site):
    page = (site / "reference" / "recipe.html").read_text(encoding="utf-8")
    for key in (
        "train.lr",
        "teacher.validate_on",
        "task.classes",
        "save.minutes",
        "track.wandb.project",
        "data.bucket",
    ):
        assert f"<code>{key}</code>" in page


def test_equations_need_no_script(site):
    page = (site / "methods" / "corrkd.html").read_text(encoding="utf-8")
    assert page.count("<math ") > 10
    assert "arithmatex" not in page


def test_nothing_is_fetched_from_elsewhere(site):
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        sources = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"|<link[^>]*\shref="([^"]+)"', page)
        for source in ("".join(each) for each in sources):
            assert not source.startswith(("http", "//")), f"{path.name}: {source}"
