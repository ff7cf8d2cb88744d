"""The bench of growing sizes runs end to end."""

import pytest


@pytest.mark.slow
@pytest.mark.needs("mmsa-corrkd")
def test_quick_bench_end_to_end(quick_bench):
    found, printed = quick_bench("scale.py", "--rounds", "1")
    assert set(found["steps"]) == {"batch", "frames", "modalities", "classes"}
    assert set(found["scd"]["blocks"]) == {"16", "32"}
    hours = [each["hours"] for each in found["estimated_epochs"].values()]
    assert hours == sorted(hours)
    assert "Estimated, not measured" in printed
