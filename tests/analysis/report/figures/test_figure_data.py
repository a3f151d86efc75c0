"""Facts about the data behind the report's figures: the CSV holds what is drawn, in the page."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.forecasting.question.options import ForecastOptions
from analysis.plots import (
    plot_backtest_coverage,
    plot_backtest_errors,
    plot_isoflop,
    plot_loss_against,
    plot_residuals,
)
from analysis.report import gather_findings, render_report
from analysis.report.figures.data import MOST_ROWS, data_behind
from analysis.report.figures.draw import draw_figures
from scaling.simulate import simulate_records

LINK = re.compile(r'<a class="data" download="([^"]+)" href="data:text/csv[^,]*;base64,([^"]+)"')
DIGITS = 1e-9  # the files hold ten digits


@pytest.fixture(scope="module")
def findings(ladder):
    return gather_findings(ladder, bootstrap=50, options=ForecastOptions(draws=400))


@pytest.fixture
def files(findings, undrawn):
    """The CSV files that the page carries, by name, as they would be saved."""
    found = LINK.findall(render_report(findings))
    return {
        name: pd.read_csv(io.BytesIO(base64.b64decode(encoded.encode()))) for name, encoded in found
    }


@pytest.fixture
def ax():
    return Figure(figsize=(4, 3)).add_subplot()


def points(ax, number=0):
    return np.asarray(ax.collections[number].get_offsets())


def test_every_figure_has_its_data(files):
    assert [*files] == [
        "loss-against-compute.csv",
        "residuals-of-power-law.csv",
        "residuals-of-chinchilla.csv",
        "which-size-at-which-budget.csv",
        "rolling-origin-backtest-error-by-distance.csv",
        "rolling-origin-backtest-promised-and-found-coverage.csv",
    ]


def test_the_data_of_losses_are_the_points_lines_and_ranges_drawn(findings, files, ax):
    plot_loss_against(
        findings.used,
        fit=findings.law_of("train_flops"),
        forecast=findings.forecast,
        held_out=findings.held_out,
        ax=ax,
    )
    table = files["loss-against-compute.csv"].set_index("series")
    columns = ["train_flops", "loss"]
    np.testing.assert_allclose(table.loc["run used by fits", columns], points(ax), rtol=DIGITS)
    law, ahead = (np.column_stack(line.get_data()) for line in ax.lines[:2])
    np.testing.assert_allclose(table.loc["fitted law", columns], law, rtol=DIGITS)
    rows = table.loc["forecast of a new run"]
    read = rows[rows["loss"].notna()]
    np.testing.assert_allclose(read[columns], ahead[: len(read)], rtol=DIGITS)
    ten = findings.target(10)
    row = rows.iloc[np.argmin(np.abs(rows["train_flops"] / ten.at["train_flops"] - 1))]
    assert (row["low_90"], row["high_90"]) == pytest.approx(tuple(ten.intervals[0.9]), rel=DIGITS)
    (run,) = findings.held_out.runs
    (hidden,) = table.filter(like="held-out", axis=0).to_dict("records")
    assert hidden["loss"] == pytest.approx(run.measured, rel=DIGITS)
    assert hidden["low_90"] == pytest.approx(run.interval.low, rel=DIGITS)


def test_the_data_of_residuals_and_budgets_are_the_points_drawn(findings, files, ax):
    law = findings.law_of("train_flops")
    plot_residuals(law, law.records, ax=ax)
    table = files["residuals-of-power-law.csv"]
    drawn = np.vstack([np.asarray(one.get_offsets()) for one in ax.collections])
    order = ["train_flops", "residual_percent"]
    expected = table.sort_values(order)[order]
    np.testing.assert_allclose(expected, drawn[np.lexsort(drawn.T[::-1])], rtol=DIGITS)
    ax.clear()
    plot_isoflop(findings.used, fit=findings.law_of("params", "tokens"), ax=ax)
    table = files["which-size-at-which-budget.csv"]
    for number, (_, runs) in enumerate(table.groupby("budget")):
        np.testing.assert_allclose(runs[["params", "loss"]], points(ax, number), rtol=DIGITS)
    fitted = findings.law_of("params", "tokens").law.loss(table["params"], table["tokens"])
    np.testing.assert_allclose(table["fitted_loss"], fitted, rtol=DIGITS)


def test_the_data_of_the_backtest_are_the_points_drawn(findings, files, ax):
    plot_backtest_errors(findings.backtest, ax=ax)
    marks = [one for one in ax.collections if len(np.asarray(one.get_offsets())) > 1]
    drawn = np.sort(np.concatenate([np.asarray(one.get_offsets())[:, 1] for one in marks]))
    table = files["rolling-origin-backtest-error-by-distance.csv"]
    np.testing.assert_allclose(np.sort(table["error_percent"]), drawn, rtol=1e-6, atol=1e-8)
    ax.clear()
    plot_backtest_coverage(findings.backtest, ax=ax)
    table = files["rolling-origin-backtest-promised-and-found-coverage.csv"]
    bands = [band for _, band in table.groupby("decades_beyond", sort=False)]
    for band, line in zip(bands, ax.lines[1:], strict=True):  # the first is the diagonal
        percent = band[["promised_percent", "found_percent"]]
        np.testing.assert_allclose(percent, np.column_stack(line.get_data()), rtol=DIGITS)


@pytest.mark.usefixtures("undrawn")
def test_a_figure_of_too_many_rows_says_so_and_carries_none(findings):
    steps = np.arange(1, MOST_ROWS + 2)
    curves = pd.DataFrame({"run_id": "a", "step": steps, "train_loss": 4.0})
    page = render_report(replace(findings, curves=curves, backtest=None))
    assert "Its 2,001 rows of data are too many to carry here." in page
    assert "training-curves.csv" not in page


@pytest.mark.usefixtures("undrawn")
def test_where_budgets_hold_one_size_the_law_is_drawn_along_tokens(truth):
    sizes = np.repeat([1e7, 3.1e7, 9.7e7], 4)
    grid = {"params": sizes, "tokens": sizes * np.tile([11.0, 23.0, 47.0, 95.0], 3)}
    records = simulate_records(truth, grid, relative_noise=0.001, seed=2)
    found = gather_findings(records, bootstrap=0, with_backtest=False)
    pictures = draw_figures(found)
    assert "sizes" in pictures and "isoflop" not in pictures
    table = data_behind(found)["sizes"]
    assert table["loss"].tolist() == records.column("loss").tolist()  # by size, then tokens
    law = found.law_of("params", "tokens").law
    np.testing.assert_allclose(table["fitted_loss"], law.loss(sizes, grid["tokens"]), rtol=DIGITS)
    assert pictures["sizes"].title in render_report(found)


@pytest.mark.parametrize("compute", [np.nan, -5.0])
def test_a_run_of_unknown_compute_is_fitted_and_not_drawn_against_it(ladder, compute):
    table = ladder.table.copy()
    table.loc[table.index[0], "train_flops"] = compute
    found = gather_findings(
        replace(ladder, table=table), bootstrap=50, options=ForecastOptions(draws=400)
    )
    pictures = draw_figures(found)
    i = next(i for i, law in enumerate(found.laws) if law.law.name == "chinchilla")
    assert len(data_behind(found)[f"residuals {i}"]) == len(ladder.usable("params", "tokens"))
    assert "Not drawn: 1 run without train_flops above zero." in pictures[f"residuals {i}"].notes
