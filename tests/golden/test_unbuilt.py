"""Golden sets of kinds that are not built yet stay in sight as skips."""

import pytest

BUILT = ("corrkd", "dkd", "metrics", "dmd", "mult", "transformer", "missing_protocols")

pytestmark = pytest.mark.golden(exclude=BUILT)


def test_unbuilt(golden_name):
    pytest.skip(f"golden set '{golden_name}': no test of this kind is built yet")
