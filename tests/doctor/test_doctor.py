"""`mmsa doctor`: whatever is broken is said, in one screen, without a secret, and it never fails."""

import json
import os
import re
import subprocess
import sys

import pytest

from mmsa_core import registry
from mmsa_core.doctor import asking, facts, page, secrets

MASKER = "from mmsa_core.components import ComponentConfig, Masker\nclass X(Masker): ...\n"
KEY = "0123456789abcdef0123"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install distributions of one masker and one module each, first on the import path."""

    def install(name, module, metadata="", entry_points="[mmsa.maskers]\n{name}.x = {name}_module:X\n"):
        info = tmp_path / f"mmsa_{name}-0.3.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(entry_points.format(name=name))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mmsa-{name}\nVersion: 0.3\n{metadata}")
        (tmp_path / f"{name}_module.py").write_text(module)

    monkeypatch.syspath_prepend(tmp_path)
    registry.metadata.cache_clear()
    yield install
    registry.metadata.cache_clear()


def test_what_is_broken_is_said_and_the_rest_too(site, mmsa, tmp_path, monkeypatch):
    site("good", MASKER)
    site("broken", f"raise ValueError('no {KEY} in ' + {str(tmp_path)!r} + '/x')")
    site("crash", "import os\nprint('not a fact', flush=True)\nos._exit(3)")
    site("old", MASKER, "Requires-Dist: mmsa-core<0.0.1\n")
    site("torn", "", entry_points="[mmsa.maskers]\nnothing to see\n")
    site("lost", "", entry_points="[mmsa.recipes]\nits = lost_module.recipes\n")
    site("off", MASKER)
    (tmp_path / "runs" / "mine" / "seed-1").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "seed-1" / "recipe.yaml").write_text(f"data: {{path: {tmp_path}/gone.pkl}}")
    (tmp_path / "mine.yaml").write_text("data: {name: mmsa-pickle, path: mine.pkl}")
    for name, value in {
        "HOME": str(tmp_path),
        "WANDB_API_KEY": KEY,
        "WANDB_BASE_URL": "https://me:password@localhost:1",
        "MMSA_PLUGINS_BLOCK": "mmsa_off,mmsa-nowhere",
        "MMSA_PLUGINS_STRICT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    result = mmsa("doctor", "mine.yaml", "--set", "train.lr=x", "--json")
    assert result.exit_code == 0
    assert not [secret for secret in (KEY, "password", str(tmp_path)) if secret in result.stdout]
    found = json.loads(result.stdout)
    plugins = {each["name"]: each for each in found["plugins"]}
    assert {name: each["state"] for name, each in plugins.items() if name not in ("mmsa-corrkd", "mmsa-dmd")} == {
        "mmsa-core": "ok",
        "mmsa-good": "ok",
        "mmsa-broken": "broken",
        "mmsa-crash": "broken",
        "mmsa-old": "incompatible",
        "mmsa-torn": "broken",
        "mmsa-lost": "broken",
        "mmsa-off": "blocked",
        "mmsa-nowhere": "blocked",
    }
    assert "ValueError: no [hidden] in ~/x" in plugins["mmsa-broken"]["problems"][0]
    assert plugins["mmsa-crash"]["problems"] == ["its import ends the process (exit code 3)"]
    assert plugins["mmsa-old"]["problems"][0].startswith("needs mmsa-core<0.0.1, found ")
    assert "entry points cannot be read (~/mmsa_torn-0.3" in plugins["mmsa-torn"]["problems"][0]
    assert "its recipes cannot be found in lost_module.recipes" in plugins["mmsa-lost"]["problems"][0]
    own = [name for table in registry.ALL for name in table if table.owners(name)[0].startswith("mmsa-core ")]
    assert plugins["mmsa-core"]["components"] == len(own)
    assert plugins["mmsa-core"]["recipes"] == 1
    assert found["recipe"]["recipe"] == ["mine.yaml", "train.lr=x"]
    assert "mine.yaml: name: required" in found["recipe"]["problem"]
    assert found["data"] == [
        {"path": "~/gone.pkl", "is": "not there", "bytes": None, "readable": False, "used_by": "runs/mine/seed-1"}
    ]
    assert found["wandb"]["mode"] == "online"
    assert found["wandb"]["key_in"] == "WANDB_API_KEY"
    assert found["settings"]["WANDB_BASE_URL"] == "https://[hidden]@localhost:1"
    assert found["device"]["torch_threads"] >= 1
    assert {"torch", "numpy", "wandb", "h5py"} <= set(found["libraries"])
    assert not {"pytest", "ruff"} & set(found["libraries"])
    assert os.environ["MMSA_PLUGINS_STRICT"] == "1"
    text = page.text(found)
    assert max(map(len, text.splitlines())) <= page.WIDTH
    assert re.search(r"^ +mmsa-crash 0\.3 +broken: 1 component, 0 recipes$", text, re.M)
    assert "NOT there (runs/mine/seed-1)" in text


def test_an_import_that_never_ends(site):
    site("slow", "import time\ntime.sleep(600)")
    ((item, found),) = asking.ask([["component", "masker", "slow.x"]], patience=2)
    assert item == ["component", "masker", "slow.x"]
    assert found == {"problem": "its import takes more than 2 s"}


def test_a_section_that_fails_keeps_no_other(mmsa, monkeypatch):
    monkeypatch.setattr(facts, "ask", lambda _: [(["device"], {"problem": "OSError: libtorch.so is torn"})])
    monkeypatch.setattr(facts, "_system", lambda: 1 / 0)
    result = mmsa("doctor")
    assert result.exit_code == 0
    assert "system     cannot be found out: ZeroDivisionError: division by zero" in result.stdout
    assert "device     OSError: libtorch.so is torn" in result.stdout
    assert "disk       " in result.stdout
    assert len(result.stdout.splitlines()) <= 24


def test_it_starts_where_the_command_cannot(tmp_path):
    for name in ("click", "pydantic", "pydantic_core", "entrypoints", "torch", "yaml"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is broken')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    line = [sys.executable, "-m", "mmsa_core.doctor"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "device     ImportError: torch is broken" in done.stdout
    assert "plugins    cannot be found out: ImportError: entrypoints is broken" in done.stdout
    assert "disk       " in done.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/x.pkl", "~/x.pkl"),
        ("in '/home/ann', not /home/anne or /home/ann.old", "in '~', not /home/anne or /home/ann.old"),
        ("postgres://ann:secret@host/db", "postgres://[hidden]@host/db"),
        (f"key={KEY}!", "key=[hidden]!"),
        ("short", "short"),
    ],
)
def test_secrets(monkeypatch, text, shown):
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("SOME_TOKEN", KEY)
    monkeypatch.setenv("OTHER_KEY", "short")
    assert secrets.hidden({"a": [text, 1, None]}) == {"a": [shown, 1, None]}


def test_home_that_is_everywhere_is_not_shortened(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert secrets.hidden("/data/x") == "/data/x"
