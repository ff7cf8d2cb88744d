"""The bench of data runs end to end; all sides give the same batches, or it fails."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "data.py"


@pytest.mark.slow
def test_quick_bench_end_to_end(quick_bench, tmp_path):
    found, printed = quick_bench("data.py", "--rounds", "2", "--folder", ".")
    assert set(found) == {"quick", "environment", "size", "corpus", "ours", "peer", "views", "ratios", "targets"}
    assert found["quick"] is True
    assert found["targets"] == []
    both = {"open", "open_and_first_epoch", "first_epoch", "second_epoch", "imports"}
    both |= {"anonymous"} if Path("/proc/self/status").exists() else set()
    assert set(found["peer"]) == set(found["views"]) == both
    assert set(found["ours"]) == both | {"longest_of_batch_epoch", "bucket_epoch"}
    for name in ("ours", "peer", "views"):
        assert all(figure["min"] <= figure["median"] <= figure["max"] for figure in found[name].values())
        assert all(figure["n"] == 2 for figure in found[name].values())
    ours, peer = (found[name]["second_epoch"] for name in ("ours", "peer"))
    ratio = found["ratios"]["peer"]["batches"]
    assert ours["min"] / peer["max"] <= ratio["median"] * 1.0001
    assert ratio["median"] <= ours["max"] / peer["min"] * 1.0001
    assert found["corpus"]["ours_gigabytes"] < found["corpus"]["pickle_gigabytes"]
    assert "mean length" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]  # the corpora are gone


@pytest.mark.parametrize("side", ["ours", "peer", "views"])
def test_a_side_without_its_corpus_fails(tmp_path, side):
    command = [sys.executable, BENCH, "--quick", "--side", side, "--folder", tmp_path]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode != 0
