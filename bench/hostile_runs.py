"""Run folders with something wrong in them, through every command that reads one.

Runs that were trained (with a calibration, kept answers, edges and ids of W&B), imported, or stopped halfway.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import torch
import yaml
from click.testing import Result
from tried import RECIPE, Tried, defect, place, run

from mmsa_core import assemble, registry, writers
from mmsa_core.corpora import data, making
from mmsa_core.evaluation import answers_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint
from mmsa_core.run_folder.importing import Imported
from mmsa_core.testing import mutations
from mmsa_core.training import saving
from mmsa_core.training.stopping import Stop

CHANGED = "was changed after the run was written"
GRAPH = {"name": "dmd.graph", "nodes": "homogeneous", "weight": 0.1}
TRAINED: dict[str, Any] = RECIPE | {
    "seeds": [1, 2],
    "model": RECIPE["model"] | {"fusion": {"name": "dmd.decoupled", "heads": 2, "layers": 1}},
    "distillers": RECIPE["distillers"] | {"graph": GRAPH},
    "track": {"wandb": {"mode": "disabled"}},
}
IMPORTED: dict[str, Any] = {key: RECIPE[key] for key in ("name", "data", "task", "model", "train", "evaluate")}
STOPPED: dict[str, Any] = TRAINED | {"save": {"steps": 2}, "train": RECIPE["train"] | {"epochs": 3}}
KINDS = ("trained", "trained", "trained", "imported", "teacher stopped", "student stopped", "student stopped")
"""Of the folders that are tried."""
CARELESS = ("gone", "empty", "bytes", "bytes", "values", "values", "swapped")
"""What happens to a file."""


def sources(folder: Path) -> dict[str, Path]:
    """One run of each kind, each in a folder of its own beside its recipe."""
    found = {"trained": trained(folder / "trained"), "imported": imported(folder / "imported")}
    for name, questions in (("teacher stopped", 5), ("student stopped", 20)):
        found[name] = stopped(folder / name, questions)
    return found


def trained(folder: Path) -> Path:
    """Two seeds, with a teacher, loss terms, a calibration, answers and edges."""
    path = recipe_of(TRAINED, folder)
    for command in (
        ["train", path, "--out", folder / "run", "--jobs", 1],
        ["calibrate", folder / "run"],
        ["evaluate", folder / "run"],
        ["evaluate", folder / "run", "--edges"],
    ):
        done = run(*command, "--device", "cpu")
        assert done.exit_code == 0, done.output
    return folder / "run"


def imported(folder: Path) -> Path:
    """The run of a checkpoint of somebody else, who has our names."""
    recipe_of(TRAINED, folder)
    recipe = Recipe.model_validate(IMPORTED | {"seeds": [1], "data": IMPORTED["data"] | {"normalize": "none"}})
    loaded = data.load(recipe)
    lengths = dict.fromkeys(loaded.channels, 6)
    model = assemble.model(recipe.model, recipe.task, loaded.channels, lengths, seed=0)
    state = {name: x for name, x in model.state_dict().items() if not name.startswith("standardize.")}
    torch.save(state, folder / "weights.pt")
    if "hostile" not in registry.importers:

        def ours(tensors: dict[str, torch.Tensor], overrides: Any) -> Imported:
            return Imported(IMPORTED, tensors, dict(loaded.channels), lengths)

        registry.importers.register("hostile", ours)  # type: ignore[call-overload]
    done = run("import", "hostile", folder / "weights.pt", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    return folder / "run"


def stopped(folder: Path, questions: int) -> Path:
    """A training that is asked to end when it has asked so many times whether it should."""
    path = recipe_of(STOPPED, folder)
    asked = iter(range(questions))
    with patch.object(Stop, "__call__", lambda self: next(asked, None) is None):
        done = run("train", path, "--out", folder / "run", "--jobs", 1, "--device", "cpu")
    assert done.exit_code == 75, done.output
    assert list((folder / "run" / "seed-1" / saving.FOLDER).glob("*.state"))
    return folder / "run"


def recipe_of(content: dict[str, Any], folder: Path) -> Path:
    """The recipe's file, in a new folder."""
    folder.mkdir()
    path = folder / "recipe.yaml"
    path.write_text(mutations.text(content), encoding="utf-8")
    return path


def commands(kind: str, run: Path, other: Path, out: Path) -> dict[str, list[Any]]:
    """Every command that reads a run folder; `other` is the whole run that `run` was copied from."""
    resume = ["train", other.parent / "recipe.yaml", "--out", run, "--resume", "--jobs", 1]
    if kind.endswith("stopped"):
        return {"resume": resume, "evaluate": ["evaluate", run, "--protocol", "inter"]}
    single = run if kind == "imported" else run / "seed-1"
    student = ["train", other.parent / "recipe.yaml", "--out", out, "--jobs", 1, "--set", "seeds=[1]"]
    return {
        "evaluate": ["evaluate", run, "--protocol", "inter"],
        "evaluate calibrated": ["evaluate", run, "--protocol", "inter", "--calibrate"],
        "evaluate edges": ["evaluate", run, "--edges"],
        "evaluate and track": ["evaluate", run, "--protocol", "inter", "--track"],
        "compare": ["compare", other, run, "--resamples", 200, "--protocol", "inter"],
        "predict": ["predict", single, other.parents[1] / "data", "--out", out.with_suffix(".csv")],
        "predict calibrated": [
            *("predict", single, other.parents[1] / "data", "--calibrate", "--out", out.with_suffix(".csv"))
        ],
        "embed": ["embed", run, "--method", "pca", "--out", out],
        "calibrate": ["calibrate", run],
        "report": ["report", run, "--out", out, "--protocol", "inter"],
        "resume": resume,
        "verify": ["verify", run, "--jobs", 1],
        "teacher": [*student, "--set", f"teacher={{run: {json.dumps(str(run))}}}"],
        "start": [*student, "--set", f"model.init.run={json.dumps(str(run))}"],
    }


SLOW = ("report", "teacher", "start", "verify", "embed", "calibrate")


def folders(count: int, seed: int = 0, said: Callable[[str], None] = lambda line: None, slow: bool = True) -> Tried:
    """Run folders with one file missing, damaged, or of another run, through every command."""
    found = Tried()
    with place() as folder:
        whole = sources(folder)
        made = making.corpus("tiny", 0, ["0.2"])
        few = {name: split.rows(torch.arange(len(split)) < 3) for name, split in made.splits.items()}
        writers.write(replace(made, splits=few), "safetensors", folder / "data")
        for number in range(count):
            random = Random(f"folder {seed} {number}")
            kind = random.choice(KINDS)
            copy, out = folder / f"copy-{number}", folder / f"out-{number}"
            shutil.copytree(whole[kind], copy)
            what, path = damage(copy, random)
            known = commands(kind, copy, whole[kind], out)
            name = random.choice([name for name in known if slow or name not in SLOW])
            result = run(*known[name], "--device", "cpu")
            wrong = defect(result, (0, 1, 2) if name == "verify" else (0, 2))
            wrong = wrong or silent(result, name, path, copy, whole[kind])
            found.add(
                f"{kind.rpartition(' ')[2]}: " + ("refused" if result.exit_code else "answered"),
                wrong and f"folder {seed} {number}: {kind}, {name}, {path.relative_to(copy)} {what}: {wrong}",
            )
            if wrong:
                said(found.defects[-1])
            for each in (copy, out):
                shutil.rmtree(each, ignore_errors=True)
            out.with_suffix(".csv").unlink(missing_ok=True)
    return found


def damage(run: Path, random: Random) -> tuple[str, Path]:
    """Take away, damage, rewrite or swap one file of a run folder; every kind of file has the same chance."""
    there = sorted(p for p in run.rglob("*") if p.is_file() and p.suffix != ".png")
    kinds = sorted({file_kind(path) for path in there})
    chosen = random.choice(kinds)
    path = random.choice([each for each in there if file_kind(each) == chosen])
    kind = random.choice(CARELESS)
    content = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "values" and path.suffix in REWRITTEN:
        REWRITTEN[path.suffix](path, random)
    elif kind == "swapped":
        twin = Path(str(path).replace("seed-1", "seed-3").replace("seed-2", "seed-1").replace("seed-3", "seed-2"))
        path.write_bytes(twin.read_bytes() if twin.is_file() and twin != path else content[::-1])
    else:
        path.write_bytes(mutations.damaged(content, random))
    return kind, path


def file_kind(path: Path) -> str:
    """What a file is, whichever seed's it is."""
    return path.parent.name if path.parent.name in (answers_file.FOLDER, saving.FOLDER) else path.name


def plain(path: Path, random: Random) -> None:
    """Other values in a JSON or YAML file."""
    path.write_text(mutations.text(mutations.changed(yaml.safe_load(path.read_bytes()), random)), encoding="utf-8")


def lines(path: Path, random: Random) -> None:
    """Other values in one line of a file of JSON lines."""
    rows = path.read_text(encoding="utf-8").splitlines()
    at = random.randrange(len(rows))
    rows[at] = json.dumps(mutations.changed(json.loads(rows[at]), random))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def tensors(path: Path, random: Random) -> None:
    """Other tensors or another description; kept answers with the digest of what they are now."""
    found, about = checkpoint.read_tensors(path)
    changed = mutations.changed({"tensors": found, "about": about}, random)
    kept = changed.get("tensors")
    kept = {n: x.contiguous() for n, x in kept.items() if torch.is_tensor(x)} if isinstance(kept, dict) else {}
    described = changed.get("about")
    described = described if isinstance(described, dict) else {}
    if path.parent.name == answers_file.FOLDER:
        described["content_sha256"] = answers_file.content(kept)
    checkpoint.write_tensors(path, {str(n): x.clone() for n, x in kept.items()}, described)


def state(path: Path, random: Random) -> None:
    """Another state, behind the digest of what it is now."""
    saved = saving.read(path)
    assert saved is not None
    fields = saved._asdict()
    part = random.choice(("progress", "progress", "updates", ""))  # weights are most of a state
    if part:
        fields["state"] = saved.state | {part: mutations.changed(saved.state[part], random)}
    else:
        fields = {name: mutations.changed(fields, random).get(name, value) for name, value in fields.items()}
    saving.write(path, saving.Saved(**fields))


REWRITTEN: dict[str, Callable[[Path, Random], None]] = {
    ".json": plain,
    ".yaml": plain,
    ".jsonl": lines,
    ".safetensors": tensors,
    ".state": state,
}
"""How a file gets other values, and is one of its kind all the same."""


def silent(result: Result, command: str, path: Path, run: Path, whole: Path) -> str | None:
    """Whether a command answered from altered weights, recipe, results or states without a word."""
    original = whole / path.relative_to(run)
    if result.exit_code or not path.is_file() or path.read_bytes() == original.read_bytes():
        return None
    said = " ".join(result.output.split())
    matters = path.name in ("student.safetensors", "recipe.yaml", "results.json") and path.parent != run
    reads = not command.startswith(("predict", "verify", "start")) and command != "teacher"
    if matters and (reads or path.parent.name == "seed-1") and not path.with_name(saving.FOLDER).exists():
        return None if CHANGED in said or command == "verify" else f"answered without a word: {result.output[:200]!r}"
    return None
