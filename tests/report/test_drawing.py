"""Figures: equal input makes equal bytes, what is shown is what was given, and nothing covers anything."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from mmsa_core.report.drawing import style
from mmsa_core.report.drawing.lines import Panel, Series, panels
from mmsa_core.report.drawing.matrix import Matrix, matrices
from mmsa_core.report.drawing.reliability import diagrams
from mmsa_core.report.drawing.scatter import scatter

X = np.arange(4.0)
NAN = np.array([0.3, np.nan, 0.2, 0.1])
NAMES = [f"a run with a name that is long $_$ {n}" for n in range(9)]


def curves():
    series = {name: Series(X, NAN + n / 10, NAN - 0.1, NAN + 0.1) for n, name in enumerate(NAMES)}
    more = Series(X, NAN, single=((np.array([3.0, 7.0]), np.array([0.1, 0.2])),))
    return panels(
        [
            Panel("first", "rate", "F1, %", series, {"predictor: random": 0.5}, zero=True),
            Panel(
                "", "epoch", "a label that is so long that it must be broken somewhere", {NAMES[0]: more}, whole=True
            ),
        ],
        NAMES,
    )


def confusion():
    shares = np.array([[0.25, 0.75], [np.nan, np.nan]])
    small = Matrix("small, complete", ("negative", "positive"), shares)
    large = Matrix("large, complete", tuple(f"class {n}" for n in range(9)), np.eye(9))
    return matrices([[small, small], [large, large], *[[small, small]] * 3])


def clouds():
    return scatter({name: (np.array([-1.0, 3.0]), np.array([5.0, 2.0])) for name in NAMES[:4]}, 3.0)


def sureness():
    curve = (np.array([np.nan, 0.6]), np.array([np.nan, 1.0]), np.array([0, 12]))
    return diagrams({name: {"complete": curve, "missing": curve} for name in NAMES[:2]})


@pytest.mark.parametrize("draw", [curves, confusion, clouds, sureness])
def test_equal_input_makes_equal_bytes(draw):
    one, other = style.render(draw), style.render(draw)
    assert one == other
    assert one.pdf.startswith(b"%PDF")
    image = Image.open(io.BytesIO(one.png))
    assert image.info["dpi"][0] == pytest.approx(200, abs=0.1)
    assert np.ptp(np.asarray(image.convert("L"))) == 255


def test_no_two_runs_look_alike():
    looks = [style.line(number) for number in range(40)]
    assert len({str(look) for look in looks}) == 40
    for one, other in pairwise(looks):
        assert all(one[key] != other[key] for key in one)  # apart in grey print too


def test_the_lines_are_the_values():
    with style.look():
        first, second = curves().axes[:2]
    shown = [line for line in first.lines if len(line.get_xdata()) == len(X)]
    for n, line in enumerate(shown):
        assert np.array_equal(line.get_ydata(), NAN + n / 10, equal_nan=True)
    assert len(shown) == len(NAMES)
    assert second.get_xlim()[1] > 7  # a thin line goes further


def test_the_legend_covers_nothing():
    with style.look():
        figure = curves()
        figure.savefig(io.BytesIO(), format="png")
        legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_tightbbox()) for axes in figure.axes if axes.axison)
    assert figure.bbox.x0 <= legend.x0
    assert legend.x1 <= figure.bbox.x1


def test_a_matrix_says_each_share_in_percent():
    with style.look():
        first = confusion().axes[0]
    assert [text.get_text() for text in first.texts] == ["25", "75", "–", "–"]
    assert first.get_xlabel() == "predicted"
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["negative", "positive"]


def test_points_beyond_the_range_are_shown():
    with style.look():
        axes = clouds().axes[0]
    assert axes.get_ylim()[1] > 5
    assert axes.get_xlim() == axes.get_ylim()
