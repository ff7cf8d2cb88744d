"""What is seen of a sample: computed by hand, and the same for a masked sample as for one that came with its holes."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsa_core.evaluation.availability import availability, subset
from mmsa_core.types import Batch

NAMES = ("text", "audio", "vision")


def batch(**observed):
    """Samples of which only the observed frames matter; `x` is a frame that is seen, `.` one that is not."""
    rows = {m: torch.tensor([[frame == "x" for frame in row] for row in given]) for m, given in observed.items()}
    n = len(next(iter(rows.values())))
    return Batch(
        features={m: torch.zeros(*o.shape, 1) for m, o in rows.items()},
        observed=rows,
        target=torch.zeros(n),
        index=torch.arange(n),
        key=torch.arange(n),
    )


def test_by_hand():
    code, share = availability(
        batch(
            text=["xxxx", ".x.x", "....", "...x", "...."],
            audio=["xxxxxx", "x....x", "..xx..", "......", "......"],
            vision=["xx...", ".....", "x.x.x", ".....", "....."],
        )
    )
    assert code.tolist() == [0b111, 0b011, 0b110, 0b001, 0]
    # Row 1: text shows frames 1 and 3 (1 hole in 3), audio 0 and 5 (4 in 6). Row 2: audio 0 in 2, vision 2 in 5.
    torch.testing.assert_close(share, torch.tensor([0.0, 5 / 9, 2 / 7, 0.0, 0.0]))
    assert [subset(c, NAMES) for c in code.tolist()] == ["text+audio+vision", "text+audio", "audio+vision", "text", ""]


@given(st.lists(st.text("x.", min_size=4, max_size=4), min_size=1, max_size=5), st.integers(0, 3), st.integers(0, 3))
def test_padding_on_either_side_changes_nothing(rows, before, behind):
    padded = ["." * before + row + "." * behind for row in rows]
    for one, other in zip(availability(batch(text=rows)), availability(batch(text=padded)), strict=True):
        assert torch.equal(one, other)


def test_a_hidden_frame_is_one_that_was_never_there():
    whole, lacking = batch(text=["xxxxx"]), batch(text=["x.xxx"])
    masked = whole.hide({"text": torch.tensor([[False, True, False, False, False]])})
    for one, other in zip(availability(masked), availability(lacking), strict=True):
        assert torch.equal(one, other)
