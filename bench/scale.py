"""How the cost of a training step grows, and what that says of larger corpora.

python bench/scale.py [--quick] [--threads N] [--rounds N] [--json FILE]

Measured: a step of `recipes/corrkd.yaml` (student, cached teacher, all three terms) while one size changes at a time,
in rounds that alternate; and SCD by itself in large batches, each in a process of its own, whose peak memory is told.
The exponent is the slope of log time over log size between the two largest sizes: 1 is linear, 2 quadratic.

Estimated, not measured: an epoch over more samples, as its number of steps times the measured step.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from measure import Figure, Found, alternate, arguments, environment
from parts import RECIPE, Parts
from rich.console import Console
from rich.table import Table
from train import stepper

from mmsa_core.corpora import data
from mmsa_core.recipes import recipe_file

BASE = {"batch": 32, "frames": 50, "modalities": 3, "classes": 7}
SIZES: Mapping[str, Sequence[int]] = {
    "batch": (16, 32, 64, 128, 256),
    "frames": (12, 25, 50, 100, 200),
    "modalities": (1, 2, 3, 4),
    "classes": (2, 3, 5, 7),
}
QUICK: Mapping[str, Sequence[int]] = {"batch": (4, 8), "frames": (4, 8), "modalities": (1, 2), "classes": (2, 7)}
ALONE, ALONE_QUICK = (512, 1024, 2048, 4096, 8192), (16, 32)
WIDTH = 74
"""Of every modality's features."""
SAMPLES = (10_000, 100_000, 1_000_000)
TERM = Path(__file__).with_name("scd_alone.py")


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or 1)
    base = BASE | ({"batch": 4, "frames": 6} if options.quick else {})
    sizes, alone = (QUICK, ALONE_QUICK) if options.quick else (SIZES, ALONE)
    found: Found = {"quick": options.quick, "environment": environment(), "base": base}
    found["steps"] = {factor: steps(base, factor, values, options.rounds) for factor, values in sizes.items()}
    found["scd"] = {form: dict(scd(alone, form)) for form in ("whole", "blocks")}
    found["estimated_epochs"] = epochs(found, base)
    report(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1, default=asdict) + "\n", encoding="utf-8")


def steps(base: Mapping[str, int], factor: str, values: Sequence[int], rounds: int) -> Found:
    """Seconds of a step at each value of one factor, and how it grows."""
    variants = {}
    for value in values:
        made, size = parts({**base, factor: value}), {**base, factor: value}
        variants[str(value)] = stepper(made, made.trainer(size["batch"]), size["batch"], block=1)
    seconds = {value: Figure.of(each, "s") for value, each in alternate(variants, rounds).items()}
    return {"seconds": seconds, "exponent": exponent({int(v): each.median for v, each in seconds.items()})}


def parts(size: Mapping[str, int]) -> Parts:
    """The recipe on a corpus with so many modalities and frames, whose training split is two batches."""
    names = [f"m{n}" for n in range(size["modalities"])]
    encoder = "{name: corrkd.encoder, layers: 2, heads: 10}"
    overrides = [
        f"data.samples=[{2 * size['batch']}, 8, 8]",
        f"data.length=[{size['frames']}, {size['frames']}]",
        f"data.channels={{{', '.join(f'{name}: {WIDTH}' for name in names)}}}",
        f"data.gains={{{', '.join(f'{name}: 1.0' for name in names)}}}",
        f"data.stretch={{{', '.join(f'{name}: 1.0' for name in names)}}}",
        f"model.encoders={{{', '.join(f'{name}: {encoder}' for name in names)}}}",
        f"task.classes={size['classes']}",
        "track.wandb=null",
    ]
    found = recipe_file.load(RECIPE, overrides)
    return Parts(found, data.load(found))


def exponent(of: Mapping[int, float]) -> float:
    """The slope of log time over log size between the two largest sizes."""
    (small, fast), (large, slow) = sorted(of.items())[-2:]
    return math.log(slow / fast) / math.log(large / small)


def scd(batches: Sequence[int], form: str) -> Iterator[tuple[str, Found]]:
    """Seconds and peak memory of the term and its gradient at each batch size."""
    for batch in batches:
        done = subprocess.run([sys.executable, str(TERM), str(batch), form], capture_output=True, text=True, check=True)
        yield str(batch), json.loads(done.stdout)


def epochs(found: Found, base: Mapping[str, int]) -> Found:
    """Hours of an epoch and gibibytes of features over more samples: estimates from the largest measured batch."""
    seconds = found["steps"]["batch"]["seconds"]
    batch = max(map(int, seconds))
    size = base["frames"] * base["modalities"] * WIDTH * 4 / 2**30
    return {
        str(n): {
            "hours": math.ceil(n / batch) * seconds[str(batch)].median / 3600,
            "gibibytes": n * size,
            "batch": batch,
        }
        for n in SAMPLES
    }


def report(found: Found) -> None:
    """Print everything as tables."""
    console = Console(width=110)
    for factor, each in found["steps"].items():
        table = Table(factor, "a step", title=f"{factor}: exponent {each['exponent']:.2f}", title_justify="left")
        for value, figure in each["seconds"].items():
            table.add_row(value, str(figure))
        console.print(table)
    table = Table("batch", "form", "seconds", "peak above start, MiB", title="SCD alone", title_justify="left")
    for form, sizes in found["scd"].items():
        for batch, each in sizes.items():
            table.add_row(batch, form, f"{each['seconds']:.3f}", f"{each['mebibytes']:.0f}")
    console.print(table)
    table = Table(
        "samples", "hours of an epoch", "GiB of features", title="Estimated, not measured", title_justify="left"
    )
    for samples, each in found["estimated_epochs"].items():
        table.add_row(f"{int(samples):,}", f"{each['hours']:.2f}", f"{each['gibibytes']:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
