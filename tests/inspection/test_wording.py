"""How facts are worded: counts with their share, bins by name, edges of lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsa_core.inspection.plots import LENGTH_BINS, length_edges
from mmsa_core.inspection.wording import percent, printable


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [
        (0, 9, "0"),
        (9, 9, "9 (100 %)"),
        (1, 3, "1 (33 %)"),
        (1, 1000, "1 (0.1 %)"),
        (999, 1000, "999 (99.9 %)"),
        (0, 0, "0"),
    ],
)
def test_a_count_and_its_share(count, of, text):
    assert percent(count, of) == text


def test_what_steers_a_terminal_is_written_out():
    assert printable("a\x1b[2J\nö\u202e") == "a\\x1b[2J\\nö\\u202e"


@given(shortest=st.integers(1, 50), more=st.integers(0, 2000))
def test_bins_of_lengths_hold_every_length(shortest, more):
    edges = length_edges(shortest, shortest + more)
    assert edges[0] == shortest
    assert edges[-2] <= shortest + more < edges[-1]
    assert len(edges) <= LENGTH_BINS + 1
