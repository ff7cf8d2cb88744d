"""Mutated recipes, data files and run folders through the commands of mmsa: an answer or one message, nothing else.

`python bench/hostile.py 1000` tries so many of each kind and prints what came of them. `recipes`, `files` and `folders`
do the same for others to call.
"""

import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from click.testing import CliRunner, Result

from mmsa_core import registry, writers
from mmsa_core.cli import main
from mmsa_core.corpora import making
from mmsa_core.errors import UserError
from mmsa_core.testing import mutations

LARGEST = 512
"""Of the numbers in a recipe that is trained here; `mmsa check` alone sees others."""
ENCODER = {"name": "transformer", "layers": 1, "heads": 2}
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "seeds": [1],
    "threads": 1,
    "data": {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]},
    "task": {"kind": "bins", "classes": 7},
    "model": {
        "dim": 8,
        "encoders": {"text": ENCODER, "audio": {"name": "recurrent"}, "vision": ENCODER},
        "fusion": {"name": "concat"},
    },
    "teacher": {"kind": "trained"},
    "masker": {"name": "corrkd.missing"},
    "distillers": {"scd": {"name": "corrkd.scd", "weight": 0.5}, "kd": {"name": "kd", "temperature": 2.0}},
    "train": {"epochs": 1, "batch_size": 8, "lr": 0.001},
    "evaluate": {"seed": 0, "batch_size": 16},
}
READERS: dict[str, dict[str, Any]] = {
    "mmsa-pickle": {},
    "mult-pickle": {},
    "mmsa-fet": {"classes": ["negative", "neutral", "positive"]},
    "folder": {},
    "cmu-sdk": {"pivot": "text"},
    "safetensors": {"verify": True},
}
CHANGED = "was changed after the run was written"


@dataclass
class Tried:
    """What came of inputs."""

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)

    def add(self, outcome: str, defect: str | None = None) -> None:
        """One more input."""
        self.count += 1
        self.outcomes[outcome if defect is None else "defect"] += 1
        if defect is not None:
            self.defects.append(defect)

    def __str__(self) -> str:
        return f"{self.count} tried: " + ", ".join(f"{name} {n}" for name, n in sorted(self.outcomes.items()))


@contextmanager
def place() -> Iterator[Path]:
    """A folder of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mmsa-hostile-") as name:
        yield Path(name)


def run(*arguments: Any) -> Result:
    """One command; its exception, if any, is in the result."""
    return CliRunner().invoke(main, list(map(str, arguments)))


def defect(result: Result) -> str | None:
    """Why an answer is none that a user should get."""
    raised = result.exception
    if raised is not None and not isinstance(raised, SystemExit):
        return f"{type(raised).__name__}: {str(raised)[:300]}"
    if result.exit_code not in (0, 2):
        return f"exit code {result.exit_code}"
    if result.exit_code == 2 and "error:" not in result.output.lower():
        return f"no message: {result.output[-300:]!r}"
    if "Traceback" in result.output or any(sign in result.output for sign in "\x1b\x00\u202e"):
        return f"a traceback or a control character: {result.output[-300:]!r}"
    return None


def recipes(count: int, seed: int = 0, said: Callable[[str], None] = lambda line: None) -> Tried:
    """Changed recipes: checked, and trained where they are valid and small."""
    found = Tried()
    for number in range(count):
        text = mutations.text(mutations.changed(RECIPE, Random(f"recipe {seed} {number}")))
        with place() as folder:
            outcome, wrong = recipe(text, folder)
        found.add(outcome, wrong and f"recipe {seed} {number}: {wrong}")
        if wrong:
            said(found.defects[-1])
    return found


def recipe(text: str, folder: Path) -> tuple[str, str | None]:
    """What came of a recipe, and what is wrong with that."""
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    checked = run("check", path)
    if wrong := defect(checked):
        return "checked", f"check: {wrong}"
    if checked.exit_code:
        lines = [line for line in checked.output.splitlines() if line.startswith("error:")]
        named = all(str(path) in line or any(key in line for key in RECIPE) for line in lines)
        return "refused", None if named else f"check: names no key: {checked.output[:300]!r}"
    if not small(yaml.safe_load(checked.output)):
        return "valid, not tried", None
    trained = run("train", path, "--out", folder / "out", "--jobs", 1, "--device", "cpu")
    if wrong := defect(trained):
        return "trained", f"train: {wrong}"
    return "refused by its data or sizes" if trained.exit_code else "trained", None


def small(data: Any) -> bool:
    """Whether a recipe trains in a moment, here, and looks at nothing elsewhere."""
    if isinstance(data, dict):
        quick = data.get("epochs", 1) <= 4 and data.get("workers", 0) == 0 and data.get("wandb") is None
        return quick and all(small(value) for key, value in data.items() if key not in ("seeds", "seed"))
    if isinstance(data, list):
        return all(map(small, data))
    return not isinstance(data, int) or abs(data) <= LARGEST


def files(count: int, seed: int = 0, said: Callable[[str], None] = lambda line: None) -> Tried:
    """Damaged data files, of all readers in turn: a corpus or a `UserError`."""
    found = Tried()
    with place() as folder:
        sources = dict(originals(folder))
        for number in range(count):
            name = list(READERS)[number % len(READERS)]
            random = Random(f"file {seed} {number}")
            wrong = None
            try:
                corpus, outcome = read(name, sources[name], random), "read"
                if not all(
                    len(x.present()) == len(split) for split in corpus.values() for x in split.features.values()
                ):
                    wrong = "features of another number of samples than ids"
            except UserError:
                outcome = "refused"
            except Exception as error:  # whatever it is, it is what is looked for
                outcome, wrong = "raised", f"{type(error).__name__}: {str(error)[:300]}"
            found.add(outcome, wrong and f"file {seed} {number} ({name}): {wrong}")
            if wrong:
                said(found.defects[-1])
    return found


def originals(folder: Path) -> Iterator[tuple[str, Path]]:
    """A whole corpus in each format."""
    corpus = making.corpus("tiny", 0, ["0.2"])
    few = {name: split.rows(torch.arange(len(split)) < 3) for name, split in corpus.splits.items()}
    for name in READERS:
        writers.write(replace(corpus, splits=few), name, folder / name)
        yield name, folder / name


def read(name: str, source: Path, random: Random) -> Any:
    """The splits that a reader finds in a source one of whose files is damaged; afterwards it is whole again."""
    path = random.choice(sorted(p for p in source.rglob("*") if p.is_file())) if source.is_dir() else source
    content = path.read_bytes()
    kind = registry.datasets.get(name)
    path.write_bytes(mutations.damaged(content, random))
    try:
        return kind(kind.Config(name=name, path=source, **READERS[name])).load().splits
    finally:
        path.write_bytes(content)


def trained(folder: Path) -> Path:
    """A run to damage: two seeds, with a teacher, loss terms and a calibration."""
    path = folder / "recipe.yaml"
    path.write_text(mutations.text({**RECIPE, "seeds": [1, 2]}), encoding="utf-8")
    for command in (
        ["train", path, "--out", folder / "run", "--jobs", 1],
        ["calibrate", folder / "run"],
        ["evaluate", folder / "run"],
    ):
        result = run(*command, "--device", "cpu")
        assert result.exit_code == 0, result.output
    return folder / "run"


def commands(run: Path, other: Path, out: Path) -> dict[str, list[Any]]:
    """Every command that reads a run folder."""
    return {
        "evaluate": ["evaluate", run, "--protocol", "inter"],
        "evaluate calibrated": ["evaluate", run, "--protocol", "inter", "--calibrate"],
        "compare": ["compare", other, run, "--resamples", 200, "--protocol", "inter"],
        "predict": ["predict", run / "seed-1", other.parent / "data", "--out", out.with_suffix(".csv")],
        "embed": ["embed", run, "--method", "pca", "--out", out],
        "calibrate": ["calibrate", run],
        "report": ["report", run, "--out", out, "--protocol", "inter"],
        "resume": ["train", other.parent / "recipe.yaml", "--out", run, "--resume", "--jobs", 1],
        "teacher": [
            *("train", other.parent / "recipe.yaml", "--out", out, "--jobs", 1, "--set", "seeds=[1]"),
            *("--set", f"teacher={{run: {json.dumps(str(run))}}}"),
        ],
    }


def folders(count: int, seed: int = 0, said: Callable[[str], None] = lambda line: None, slow: bool = True) -> Tried:
    """Run folders with one file missing, damaged, or of another run, through every command."""
    found = Tried()
    with place() as folder:
        source = trained(folder)
        made = making.corpus("tiny", 0, ["0.2"])
        few = {name: split.rows(torch.arange(len(split)) < 3) for name, split in made.splits.items()}
        writers.write(replace(made, splits=few), "safetensors", folder / "data")
        for number in range(count):
            random = Random(f"folder {seed} {number}")
            copy, out = folder / f"copy-{number}", folder / f"out-{number}"
            shutil.copytree(source, copy)
            what, path = damage(copy, random)
            names = [name for name in commands(copy, source, out) if slow or name not in ("report", "teacher")]
            name = random.choice(names)
            result = run(*commands(copy, source, out)[name], "--device", "cpu")
            wrong = defect(result) or silent(result, name, path, copy)
            found.add(
                "refused" if result.exit_code else "answered",
                wrong and f"folder {seed} {number}: {name}, {path.relative_to(copy)} {what}: {wrong}",
            )
            if wrong:
                said(found.defects[-1])
            for each in (copy, out):
                shutil.rmtree(each, ignore_errors=True)
            out.with_suffix(".csv").unlink(missing_ok=True)
    return found


def damage(run: Path, random: Random) -> tuple[str, Path]:
    """Take away, damage or swap one file of a run folder."""
    path = random.choice(sorted(p for p in run.rglob("*") if p.is_file() and p.suffix not in (".png",)))
    kind = random.choice(("gone", "empty", "bytes", "bytes", "values", "swapped"))
    content = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "values" and path.suffix in (".json", ".yaml"):
        path.write_text(mutations.text(mutations.changed(yaml.safe_load(content), random)), encoding="utf-8")
    elif kind == "swapped":
        twin = Path(str(path).replace("seed-1", "seed-3").replace("seed-2", "seed-1").replace("seed-3", "seed-2"))
        path.write_bytes(twin.read_bytes() if twin.is_file() else content[::-1])
    else:
        path.write_bytes(mutations.damaged(content, random))
    return kind, path


def silent(result: Result, command: str, path: Path, run: Path) -> str | None:
    """Whether a command answered from altered weights, recipe or results without a word."""
    matters = path.name in ("student.safetensors", "recipe.yaml", "results.json") and path.parent != run
    reads = command != "predict" or path.parent.name == "seed-1"
    reads = reads and (command != "teacher" or path.parent.name == "seed-1")
    original = run.parent / "run" / path.relative_to(run)
    same = path.is_file() and path.read_bytes() == original.read_bytes()
    if result.exit_code or not matters or not reads or same or not path.is_file():
        return None
    return None if CHANGED in " ".join(result.output.split()) else f"answered without a word: {result.output[:200]!r}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for kind in (recipes, files, folders):
        if len(sys.argv) < 3 or kind.__name__ in sys.argv[2:]:
            print(kind.__name__, kind(number, said=print), flush=True)
