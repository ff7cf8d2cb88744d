"""Mutated recipes, data files and run folders through the commands of mmsa: an answer or one message, nothing else.

`python bench/hostile.py 1000` tries so many of each kind and prints what came of them. `recipes`, `files` and `folders`
do the same for others to call.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from hostile_runs import folders
from tried import RECIPE, Tried, defect, place, run

from mmsa_core import registry, writers
from mmsa_core.corpora import making
from mmsa_core.errors import UserError
from mmsa_core.testing import mutations

LARGEST = 512
"""Of the numbers in a recipe that is trained here; `mmsa check` alone sees others."""
READERS: dict[str, dict[str, Any]] = {
    "mmsa-pickle": {},
    "mult-pickle": {},
    "mmsa-fet": {"classes": ["negative", "neutral", "positive"]},
    "folder": {},
    "cmu-sdk": {"pivot": "text"},
    "safetensors": {"verify": True},
}


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


if __name__ == "__main__":
    torch.set_num_threads(1)
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for kind in (recipes, files, folders):
        if len(sys.argv) < 3 or kind.__name__ in sys.argv[2:]:
            print(kind.__name__, kind(number, said=print), flush=True)
