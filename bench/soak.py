"""What a run must survive, for as long as you let it: no part of the tests.

python bench/soak.py [--part NAME] [--data FILE] [--kills N] [--seed N] [--json FILE] [--folder DIR]

kills: trainings are killed (SIGKILL and SIGTERM mixed) at random moments and go on; all files that they end with are
compared with those of a run that was left alone.
memory: one process takes 10,000 steps and evaluates 200 times; its peak must stay where it was.
hostile: mutated recipes, data files and run folders must end with an answer or one message (`bench/hostile.py` and
`hostile_runs.py`).

With `--data`, a pickle of MMSA's schema, the recipes are trained on it, else on the embedded corpus.
"""

import json
import platform
import shlex
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import hostile
import hostile_runs
import kills
import memory
from measure import Found
from rich.console import Console

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
TRAININGS = {
    "corrkd": ("corrkd.yaml", "train.epochs=6", "save.steps=5", "log.gradients_every=7"),
    "dmd": ("dmd.yaml", "train.epochs=3", "save.steps=4"),
    "two seeds": ("baseline.yaml", "train.epochs=4", "save.steps=9", "seeds=[1111,1112]"),
    "two jobs": ("baseline.yaml", "train.epochs=4", "save.steps=9", "seeds=[1111,1112]"),
}
JOBS = {"two jobs": 2}
"""How many seeds are trained at once; 1 where it is not said."""


def trainings(data: Path | None) -> dict[str, list[str]]:
    """What is killed, as arguments of `mmsa`."""
    given = ["track.wandb=null"]
    given += [] if data is None else ["data.name=mmsa-pickle", f"data.path={data.absolute()}"]
    return {
        name: [
            "train",
            str(RECIPES / recipe),
            "--jobs",
            str(JOBS.get(name, 1)),
            *(part for each in (*settings, *given) for part in ("--set", each)),
        ]
        for name, (recipe, *settings) in TRAININGS.items()
    }


def killed(options: Namespace, folder: Path) -> Found:
    """The part `kills`: each training gets its share."""
    found = {}
    chosen = {name: line for name, line in trainings(options.data).items() if name in (options.training or TRAININGS)}
    for number, (name, line) in enumerate(chosen.items()):
        (folder / name).mkdir(parents=True)
        print(f"{name}: {shlex.join(line)}", flush=True)
        share = options.kills * (number + 1) // len(chosen) - options.kills * number // len(chosen)
        found[name] = kills.run(line, share, options.seed, folder / name)
    return found


def table(found: Found, console: Console) -> None:
    """Print how many kills were survived and where they fell."""
    for name, each in found.items():
        signals = ", ".join(f"{kind} {n}" for kind, n in each["signals"].items())
        console.print(
            f"{name}: {each['survived']} of {each['kills']} kills survived in {each['runs']} runs ({signals})"
        )
        for where, n in each["fell"].items():
            console.print(f"  {n:4d}  {where}", highlight=False)
        for defect in each["defects"]:
            console.print(f"  DEFECT {defect}", markup=False)


def flat(options: Namespace, folder: Path) -> Found:
    """The part `memory`."""
    folder.mkdir(parents=True)
    return {"corrkd": memory.run(RECIPES / "corrkd.yaml", folder, options.steps, options.evaluations)}


def peaks(found: Found, console: Console) -> None:
    """Print the peaks along the way."""
    for name, each in found.items():
        for part, values in each["peaks"].items():
            console.print(f"{name}: peak in MiB over {each[part]} {part}: {' '.join(f'{v:.0f}' for v in values)}")
        for defect in each["defects"]:
            console.print(f"  DEFECT {defect}", markup=False)


def mutated(options: Namespace, folder: Path) -> Found:
    """The part `hostile`."""
    count, seed = options.mutations, options.seed
    tried = {"recipes": hostile.recipes(count, seed), "data files": hostile.files(count, seed)}
    tried["run folders"] = hostile_runs.folders(count // 2, seed)
    return {name: {"outcomes": dict(each.outcomes), "defects": each.defects} for name, each in tried.items()}


def outcomes(found: Found, console: Console) -> None:
    """Print what came of mutated input."""
    for name, each in found.items():
        console.print(f"{name}: " + ", ".join(f"{n} {outcome}" for outcome, n in each["outcomes"].items()))
        for defect in each["defects"]:
            console.print(f"  DEFECT {defect}", markup=False)


PARTS: dict[str, tuple[Callable[[Namespace, Path], Found], Callable[[Found, Console], None]]] = {
    "kills": (killed, table),
    "memory": (flat, peaks),
    "hostile": (mutated, outcomes),
}


def main() -> None:
    parser = ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--part", action="append", choices=list(PARTS), help="by default all")
    parser.add_argument("--training", action="append", choices=list(TRAININGS), help="what is killed; by default all")
    parser.add_argument("--data", type=Path, metavar="FILE")
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="in all (default 100)")
    parser.add_argument("--steps", type=int, default=memory.STEPS, metavar="N", help="of the part memory")
    parser.add_argument("--evaluations", type=int, default=memory.EVALUATIONS, metavar="N", help="of the part memory")
    parser.add_argument("--mutations", type=int, default=1000, metavar="N", help="of each kind, of the part hostile")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random moments")
    parser.add_argument("--folder", type=Path, help="for the runs, a new one; by default a temporary one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    options = parser.parse_args()
    console = Console(width=160, soft_wrap=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        found = {name: PARTS[name][0](options, folder / name) for name in options.part or PARTS}
    for name, each in found.items():
        PARTS[name][1](each, console)
    if options.json:
        about = {"date": datetime.now(UTC).date().isoformat(), "command": shlex.join(sys.argv)}
        options.json.write_text(json.dumps(about | {"platform": platform.platform()} | found, indent=2) + "\n")
    if any(each.get("defects") for part in found.values() for each in part.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
