"""The bench of evaluation runs end to end, and both sides give the same answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "evaluation.py"


@pytest.mark.slow
def test_quick_bench_end_to_end(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", BENCH, "--quick", "--threads", "1", "--json", "bench.json"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    assert list(found["fusions"]) == ["concat", "gated", "low_rank", "tensor"]
    for each in found["fusions"].values():
        assert each["conditions"] == 77
        assert each["largest_difference"] <= 1e-6
        assert set(each["seconds"]) == {"naive", "reused"}
        assert each["ratio"]["min"] > 0
