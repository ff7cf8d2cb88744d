"""How fast a corpus of MOSEI's size opens and gives batches, beside a pickle and a Dataset of single samples.

python bench/data.py [--quick] [--threads N] [--rounds N] [--folder DIR] [--json FILE]

The corpus is random numbers in MMSA's schema: padded arrays of float32 in one pickle, which `mmsa data convert` turns
into ours. Lengths are log-normal with a median of 20 frames, cut at 50, about those of MOSEI's sentences in words. Each
side runs in a process of its own, alternately, with its file in the page cache (read once before); imports are not
timed. The peer is one `pickle.load` and a Dataset of single samples as MMSA has it (each split's arrays copied to
float32, each sample a copy) in a DataLoader without workers; "views" is the same without any copy that can be left out.
Ours also makes what is observed and the keys of masks. All make the same features and targets in the same
order (compared), padded to 50 frames; beside that ours is timed as training pads: to each batch's longest. Memory is
the largest anonymous memory that the process had, imports included, sampled from outside (Linux only): pages of the
file, which all processes share, do not count. About 6 GB of disk in a temporary folder are used, and 10 GB of memory.
"""

import json
import subprocess
import sys
import tempfile
import time
from argparse import SUPPRESS, Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from corpora import FULL, QUICK, Made, make
from measure import Figure, Found, arguments, environment
from sides import SIDES

TARGETS = {"open_ms": 20.0, "anonymous_mebibytes": 300.0, "open_and_epoch": 8.0, "batches": 2.0}
"""Milliseconds and mebibytes of ours at most; how many times as fast as the peer at least."""


@dataclass(frozen=True)
class Run:
    """One process: what it measured, and its largest anonymous memory."""

    measured: dict[str, Any]
    anonymous: float | None


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes of each side")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the temporary folder goes")
    parser.add_argument("--side", choices=[*SIDES, "make"], help=SUPPRESS)
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    size = QUICK if options.quick else FULL
    if options.side is not None:
        side(options, size)
        return
    found: Found = {"quick": options.quick, "environment": environment(), "size": asdict(size)}
    about = found["environment"]
    print(f"torch {about['torch']}, {about['threads']} threads of {about['cores']} cores, load {about['load']:.1f}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        made = alone("make", Path(folder), options)
        found["corpus"] = made.measured | {"conversion_anonymous_mebibytes": made.anonymous}
        runs: dict[str, list[Run]] = {name: [] for name in SIDES}
        for number in range(options.rounds):
            for name in list(SIDES)[:: -1 if number % 2 else 1]:
                warm(Path(folder), name)
                runs[name].append(alone(name, Path(folder), options))
    if len({str(run.measured.pop("checksums")) for each in runs.values() for run in each}) != 1:
        raise SystemExit("the sides gave different batches")
    found |= {name: figures(each, size) for name, each in runs.items()}
    found["ratios"] = {name: ratios(runs["ours"], runs[name]) for name in ("peer", "views")}
    found["targets"] = targets(found)
    report(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1, default=asdict) + "\n", encoding="utf-8")


def side(options: Namespace, size: Made) -> None:
    """What a process of one side does: it measures itself, and prints what it found."""
    measure: Callable[[Path, Made], Found] = make if options.side == "make" else SIDES[options.side]
    print(json.dumps(measure(options.folder, size)))


def alone(name: str, folder: Path, options: Namespace) -> Run:
    """Run a side in a process of its own, and watch its memory."""
    command = [sys.executable, __file__, "--side", name, "--folder", str(folder)]
    command += ["--quick"] if options.quick else []
    command += ["--threads", str(options.threads)] if options.threads is not None else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    largest = 0.0
    while process.poll() is None:
        largest = max(largest, anonymous(process.pid))
        time.sleep(0.005)
    output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"the process '{name}' failed")
    return Run(json.loads(output.splitlines()[-1]), largest or None)


def anonymous(process: int) -> float:
    """Mebibytes of memory of its own that a process holds now; 0 where that cannot be known."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def warm(folder: Path, name: str) -> None:
    """Bring a side's files into the page cache."""
    for path in folder.rglob("*.safetensors" if name == "ours" else "*.pkl"):
        with path.open("rb", buffering=0) as file:
            while file.read(2**24):
                pass


def figures(runs: list[Run], size: Made) -> dict[str, Figure]:
    """Medians and spreads of one side."""
    rates = {name for name in runs[0].measured if name.endswith("epoch_s")}
    found = {
        "open": Figure.of([1000 * run.measured["open_s"] for run in runs], "ms"),
        "open_and_first_epoch": Figure.of([together(run) for run in runs], "s"),
    }
    for name in sorted(rates):
        values = [size.samples[0] / run.measured[name] for run in runs]
        found[name.removesuffix("_s")] = Figure.of(values, "samples/s")
    memory = [run.anonymous for run in runs if run.anonymous is not None]
    if memory:
        found["anonymous"] = Figure.of(memory, "MiB")
    found["imports"] = Figure.of([run.measured["imports_mebibytes"] for run in runs], "MiB")
    return found


def together(run: Run) -> float:
    """Seconds until a first epoch's batches were there."""
    return float(run.measured["open_s"] + run.measured["first_epoch_s"])


def ratios(ours: list[Run], other: list[Run]) -> dict[str, Figure]:
    """How many times as fast ours is, round by round."""
    pairs = list(zip(other, ours, strict=True))
    return {
        "open_and_epoch": Figure.of([together(it) / together(us) for it, us in pairs], "times"),
        "batches": Figure.of(
            [it.measured["second_epoch_s"] / us.measured["second_epoch_s"] for it, us in pairs], "times"
        ),
    }


def targets(found: Found) -> list[Found]:
    """What the project promises; --quick has other sizes and says nothing of it."""
    if found["quick"]:
        return []
    ours, fast = found["ours"], found["ratios"]["peer"]
    values = {"open_ms": ours["open"].median, "open_and_epoch": fast["open_and_epoch"].median}
    values |= {"batches": fast["batches"].median}
    values |= {"anonymous_mebibytes": ours["anonymous"].max} if "anonymous" in ours else {}
    most = ("open_ms", "anonymous_mebibytes")
    return [
        {"name": n, "target": goal, "found": values[n], "met": values[n] <= goal if n in most else values[n] >= goal}
        for n, goal in TARGETS.items()
        if n in values
    ]


def report(found: Found) -> None:
    """The table."""
    corpus = found["corpus"]
    print(
        f"samples {found['size']['samples']}, widths {found['size']['channels']}, batches of {found['size']['batch']}"
    )
    print(f"mean length {corpus['mean_length']:.1f} of {found['size']['frames']} frames; a pickle of", end=" ")
    print(f"{corpus['pickle_gigabytes']:.2f} GB, ours {corpus['ours_gigabytes']:.2f} GB", end="; ")
    print(f"converted in {corpus['conversion_s']:.1f} s\nmedian (min .. max)")
    for name in SIDES:
        print(name)
        for label, figure in found[name].items():
            print(f"  {label.replace('_', ' '):22} {figure}")
    for name, values in found["ratios"].items():
        print(f"ours against {name}")
        for label, figure in values.items():
            print(f"  {label.replace('_', ' '):22} {figure}")
    for each in found["targets"]:
        verdict = "met" if each["met"] else "MISSED"
        print(f"target {each['name']}: {each['found']:.2f}, target {each['target']:g}: {verdict}")


if __name__ == "__main__":
    main()
