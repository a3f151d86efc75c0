"""Facts about the figure of found laws: hidden runs and forms stand where the result has them."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis import discover
from analysis.discovery import search
from analysis.plots.discovery import (
    plot_form_errors,
    plot_hidden_runs,
    save_discovery_figure,
)
from benchmarks.simulated.tables import of_domains, two_powers
from scaling.errors import FitError

INPUTS = ["width_total", "seen"]


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "DEPTH", 1)
        patch.setattr(search, "WIDTH", 1)
        return discover(two_powers(), INPUTS)


@pytest.fixture
def shallow(monkeypatch):
    monkeypatch.setattr(search, "DEPTH", 1)
    monkeypatch.setattr(search, "WIDTH", 1)


@pytest.fixture
def ax():
    return Figure(figsize=(6, 5)).add_subplot()


def drawn(ax):
    clouds = [c for c in ax.collections if hasattr(c, "get_sizes") and len(c.get_offsets())]
    return np.concatenate([np.asarray(c.get_offsets()) for c in clouds])


def test_every_hidden_run_stands_at_its_error_in_the_row_of_its_place(found, ax):
    plot_hidden_runs(found, ax=ax)
    told = found.hidden_frame()
    points = drawn(ax)
    places = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
    assert places == ["width_total", "seen", "inside the data"]
    for row, place in enumerate(["width_total", "seen", ""]):
        own = points[np.abs(points[:, 1] - row) < 0.5]
        expected = 100 * told.loc[told["along"] == place, "error"]
        np.testing.assert_allclose(np.sort(own[:, 0]), np.sort(expected))


def test_further_beyond_the_runs_kept_is_further_down(found, ax):
    plot_hidden_runs(found, ax=ax)
    told = found.hidden_frame().query("along == 'seen'").sort_values("beyond", kind="stable")
    points = drawn(ax)
    own = points[np.abs(points[:, 1] - 1) < 0.5]
    furthest = own[own[:, 1].argmax(), 0]
    last = told[told["beyond"] == told["beyond"].max()]
    assert np.isclose(100 * last["error"], furthest).any() and ax.yaxis_inverted()


def test_intervals_and_their_count_are_those_of_the_result(found, ax):
    plot_hidden_runs(found, ax=ax)
    told = found.hidden_frame()
    lines = [c for c in ax.collections if not hasattr(c, "get_sizes")]
    ends = np.concatenate([np.array(one.get_segments())[:, :, 0] for one in lines])
    np.testing.assert_allclose(np.sort(ends[:, 0]), np.sort(100 * told["error_low_90"]))
    np.testing.assert_allclose(np.sort(ends[:, 1]), np.sort(100 * told["error_high_90"]))
    holds = ((told["low_90"] <= told["measured"]) & (told["measured"] <= told["high_90"])).sum()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == f"measured inside ({holds})"
    assert "no evidence" in ax.get_legend().get_title().get_text()


def test_forms_stand_at_their_errors(found, ax):
    plot_form_errors(found, ax=ax)
    expected = [100 * error for form in found.forms for error in form.errors.values()]
    np.testing.assert_allclose(drawn(ax)[:, 0], expected)
    numbers = [text.get_text() for text in ax.texts]
    assert set(numbers) == {str(n + 1) for n in range(len(found.forms))}


def test_one_absurd_prediction_does_not_hide_the_others(found, ax):
    first, *others = found.hidden_runs
    absurd = replace(first, median=(50.0, *first.median[1:]), high_90=(90.0, *first.high_90[1:]))
    plot_hidden_runs(replace(found, hidden_runs=(absurd, *others)), ax=ax)
    assert ax.get_xlim()[1] < 30  # percent; the others err by 2 at most, and that one by 1000
    assert drawn(ax)[:, 0].max() == pytest.approx(ax.get_xlim()[1])


def test_errors_of_a_target_below_zero_are_in_standard_deviations(shallow, ax):
    runs = two_powers().assign(loss=lambda t: t["loss"] - 4)
    found = discover(runs, INPUTS)
    plot_hidden_runs(found, ax=ax)
    told = found.hidden_frame()
    expected = (told["median"] - told["measured"]) / runs["loss"].std(ddof=0)
    np.testing.assert_allclose(np.sort(drawn(ax)[:, 0]), np.sort(expected))
    assert "standard deviations of loss" in ax.get_xlabel()


def test_groups_and_mixtures_without_a_direction_are_one_row(shallow, tmp_path):
    found = discover(of_domains(), ["web", "code", "books"], by="size")
    save_discovery_figure(found, tmp_path / "found.png")
    assert set(found.hidden_frame()["group"]) == {"large", "small"}
    assert {one.along for one in found.hidden_runs} == {""}


def test_the_same_result_is_the_same_file(found, tmp_path):
    for name in ("a.svg", "b.svg"):
        save_discovery_figure(found, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_names_of_columns_are_drawn_as_they_are_written(shallow, tmp_path):
    names = {"width_total": r"$\frac{a}$" + 40 * "long", "seen": "measured"}
    found = discover(two_powers().rename(columns=names), list(names.values()))
    assert "input measured" in found.hidden_frame()
    save_discovery_figure(found, tmp_path / "found.svg")


def test_where_no_law_is_claimed_nothing_is_drawn(ax, tmp_path):
    noise = np.random.default_rng(5).normal(3, 0.1, 42)
    found = discover(two_powers().assign(loss=noise), INPUTS)
    assert found.hidden_runs == () and found.hidden_frame().empty
    for draw in (found.plot, lambda: save_discovery_figure(found, tmp_path / "no.svg")):
        with pytest.raises(FitError, match="no law is claimed"):
            draw()
    assert not (tmp_path / "no.svg").exists()
