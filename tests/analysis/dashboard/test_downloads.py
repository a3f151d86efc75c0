"""Facts about files of figures: every figure of a page can be taken away, as what it shows."""

import io

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure
from PIL import Image

from analysis.dashboard import charts
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.parts.downloads import _Drawn
from analysis.dashboard.registry import PAGES
from scaling.sources import records_from
from tests.analysis.dashboard.conftest import figures
from tests.grids import grid_of_runs

PLACES = {"compare": {}, "next": {"propose": "1"}, "discover": {"search": "1"}}


@pytest.mark.parametrize("page", [row.name for row in PAGES if row.name != "record"])
def test_every_figure_of_a_page_has_its_files(page, runs, tmp_path, drawn):
    second = tmp_path / "second.csv"
    grid_of_runs(4, seed=2).to_csv(second, index=False)
    query = PLACES.get(page, {}) | ({"b": str(second)} if page == "compare" else {})
    query |= {"input": ["params", "tokens"]} if page == "discover" else {}
    test = drawn(page, [runs, str(second)], **query)
    assert not test.exception, test.exception
    buttons = [one.proto.label for one in test.get("download_button")]
    assert buttons.count("PNG") == buttons.count("SVG") == len(figures(test))


def test_what_a_page_draws_is_drawn_on_paper():
    figure = charts.figure(x="Training <b>compute</b>", y="Loss $x$")
    bars = {"type": "data", "array": [0.1, 0.2]}
    figure.add_trace(go.Scatter(x=[1e3, 1e5], y=[3, 2], mode="markers", name="runs", error_y=bars))
    figure.add_trace(go.Scatter(x=[1e3, 1e5], y=[3, 2], mode="lines", showlegend=False))
    figure.add_trace(go.Scatter(x=[1e3, 1e5, 1e5], y=[3, 2, 1], fill="toself", name="band"))
    figure.add_hline(2.5, line={"color": "#777777", "dash": "dash"})
    figure.add_vline(1e4)
    ax = draw_on(figure, Figure(layout="constrained").subplots())
    (points,) = (one for one in ax.collections if len(one.get_offsets()) == 2)
    np.testing.assert_array_equal(points.get_offsets(), [(1e3, 3), (1e5, 2)])
    assert ax.get_xlabel() == "Training compute" and ax.get_ylabel() == r"Loss \$x\$"
    assert ax.get_xscale() == ax.get_yscale() == "log"
    legend = ax.get_figure().legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["band", "runs"] or [
        text.get_text() for text in legend.get_texts()
    ] == ["runs", "band"]


def test_a_hostile_name_is_text_on_paper(tmp_path):
    from analysis.dashboard.figures.compared import arms_figure

    table = grid_of_runs(3)
    path = tmp_path / "$\\frac{<b>x.csv"
    table.to_csv(path, index=False)
    records = records_from(str(path))
    figure = arms_figure(records, records)
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        written = _Drawn(lambda ax: draw_on(figure, ax), ending)()
        assert written.startswith(start)
    assert Image.open(io.BytesIO(_Drawn(lambda ax: draw_on(figure, ax), "png")())).width > 600


def test_names_stand_on_an_axis_of_names():
    figure = charts.figure(x="", y="Loss", x_log=False)
    figure.add_trace(go.Scatter(x=["a &lt;1", "b"], y=[1.0, 2.0], mode="markers", name="measured"))
    ax = draw_on(figure, Figure().subplots())
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a <1", "b"]


def test_a_figure_is_built_once_for_the_same_answers():
    from analysis.dashboard import cache

    made = []

    def build(table, level):
        made.append(level)
        return level

    build.__qualname__ = "build of this test"
    table = pd.DataFrame({"x": [1.0]})
    assert [cache.built(build, table, 0.9) for _ in range(3)] == [0.9] * 3
    assert cache.built(build, table.copy(), 0.9) == 0.9 and cache.built(build, table, 0.8) == 0.8
    assert made == [0.9, 0.9, 0.8]
