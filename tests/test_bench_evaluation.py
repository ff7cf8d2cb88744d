"""The bench of evaluation runs end to end, and both sides give the same answers."""

import pytest


@pytest.mark.slow
def test_quick_bench_end_to_end(quick_bench):
    found, _ = quick_bench("evaluation.py")
    assert list(found["fusions"]) == ["concat", "gated", "low_rank", "tensor"]
    for each in found["fusions"].values():
        assert each["conditions"] == 77
        assert each["largest_difference"] <= 1e-6
        assert set(each["seconds"]) == {"naive", "reused"}
        assert each["ratio"]["min"] > 0
