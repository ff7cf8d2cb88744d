"""The bench of growing sizes runs end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "scale.py"


@pytest.mark.needs("mmsa-corrkd")
def test_quick_bench_end_to_end(tmp_path):
    done = subprocess.run(
        [sys.executable, BENCH, "--quick", "--rounds", "1", "--json", "bench.json"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    assert set(found["steps"]) == {"batch", "frames", "modalities", "classes"}
    assert set(found["scd"]["blocks"]) == {"16", "32"}
    hours = [each["hours"] for each in found["estimated_epochs"].values()]
    assert hours == sorted(hours)
    assert "Estimated, not measured" in done.stdout
