"""DMD's bench runs end to end, and beside the public code where the environment names a checkout of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "dmd.py"
PEER = os.environ.get("MMSA_DMD_PEER")


def run(folder, *options):
    """The bench at its smallest; how it ended."""
    return subprocess.run(
        [sys.executable, "-W", "error", BENCH, "--quick", "--threads", "1", *options],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )


def figures(folder, *options):
    """What the bench wrote, and what it printed."""
    done = run(folder, "--json", "bench.json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "bench.json").read_text()), done.stdout


def check_figure(figure, rounds):
    assert 0 < figure["min"] <= figure["median"] <= figure["max"]
    assert figure["n"] == rounds


def check(found, sides, rounds):
    assert set(found) == {"quick", "environment", "size", "peak_mebibytes", "operations", "training", "evaluation"}
    assert found["quick"] is True
    assert found["environment"]["threads"] == 1
    assert found["environment"]["torch"]
    assert found["size"]["rounds"] == rounds
    for batch in ("4", "8"):
        for name in ("training", "evaluation"):
            assert set(sides) == set(found[name][batch]) - {"ratio", "ratio_by_round"}
            for side in sides:
                check_figure(found[name][batch][side], rounds)
        assert set(found["peak_mebibytes"][batch]) == set(sides)
        assert set(found["operations"][batch]) == {*sides, "ours in a CPU's form"}
        assert all(value > 0 for name in ("operations", "peak_mebibytes") for value in found[name][batch].values())
    operations = found["operations"]
    assert operations["4"]["ours"] == operations["8"]["ours"] <= 1500


@pytest.mark.slow
def test_quick_bench_end_to_end(tmp_path):
    found, printed = figures(tmp_path)
    check(found, ["ours"], rounds=2)
    assert "peer" not in printed.replace("ours / peer", "")
    assert "peak memory: ours" in printed


@pytest.mark.skipif(not PEER, reason="MMSA_DMD_PEER names no checkout of the public code of DMD")
def test_quick_bench_beside_the_public_code(tmp_path):
    found, printed = figures(tmp_path, "--peer", PEER, "--rounds", "1")
    check(found, ["ours", "peer"], rounds=1)
    for batch in ("4", "8"):
        for name in ("training", "evaluation"):
            each = found[name][batch]
            check_figure(each["ratio"], rounds=1)
            assert each["ratio"]["min"] == min(each["ratio_by_round"])
            assert each["ratio"]["max"] == max(each["ratio_by_round"])
    assert "ratio" in printed


def test_a_folder_that_is_no_checkout(tmp_path):
    done = run(tmp_path, "--peer", tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"--peer {tmp_path}: no checkout of github.com/mdswyz/DMD, {Path('trains/singleTask/DMD.py')} is missing"
    )
    assert done.stdout == ""
