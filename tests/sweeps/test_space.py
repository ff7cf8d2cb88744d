"""What a key may be: its grid, the values of choices, and where trials lie in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mmsa_core.sweeps import space
from mmsa_core.sweeps.space import Dimension, Space

SPACE = TypeAdapter(Space)
ONE = TypeAdapter(Dimension)


def test_a_grid_by_hand():
    found = SPACE.validate_python(
        {
            "a": {"kind": "categorical", "choices": [None, {"name": "x"}]},
            "b": {"kind": "int", "low": 2, "high": 7, "step": 3},
            "c": {"kind": "float", "low": 0.0, "high": 0.3, "step": 0.1},
        }
    )
    rows = space.grid(found)
    assert len(rows) == 2 * 2 * 4
    assert rows[0] == {"a": None, "b": 2, "c": 0.0}
    assert rows[-1] == {"a": '{"name": "x"}', "b": 5, "c": pytest.approx(0.3)}
    assert [row["c"] for row in rows[:4]] == pytest.approx([0.0, 0.1, 0.2, 0.3])


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(2, 9), st.text(), st.lists(st.text())), min_size=2))
def test_every_choice_comes_back(choices):
    try:
        found = ONE.validate_python({"kind": "categorical", "choices": choices})
    except ValueError:
        assert len({space.label(choice) for choice in choices}) < len(choices)
        return
    assert [space.value_of(found, space.label(choice)) for choice in choices] == choices


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "float", "low": 2.0, "high": 1.0}, "expected low < high, found 2 and 1"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "log": True}, "needs low above 0"),
        ({"kind": "int", "low": 1, "high": 9, "step": 2, "log": True}, "exclude each other"),
        ({"kind": "categorical", "choices": [1, True]}, "each choice once"),
        ({"kind": "categorical", "choices": [1]}, "at least 2"),
    ],
)
def test_what_is_no_range(given, says):
    with pytest.raises(ValueError, match=says):
        ONE.validate_python(given)
