"""Facts about figures: what is drawn is what the result holds, with labels and units."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.evaluation.backtest import backtest
from analysis.evaluation.held_out import check_held_out
from analysis.fitting.fit import fit_as_asked
from analysis.fitting.measurements.frontier import unbeaten_runs
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.plots import (
    plot_backtest_coverage,
    plot_backtest_errors,
    plot_isoflop,
    plot_loss_against,
    plot_loss_curves,
    plot_residuals,
)
from analysis.plots.isoflop import has_isoflop
from analysis.plots.style import axis_label, figure_style
from analysis.text.numbers import flops_in_math
from scaling.columns import label
from scaling.errors import FitError
from scaling.records import records_from_table
from scaling.simulate import simulate_records

FEW_DRAWS = ForecastOptions(draws=200)


@pytest.fixture
def ax():
    return Figure(figsize=(4, 3)).add_subplot()


@pytest.fixture(scope="module")
def surface_fit(ladder):
    return fit_as_asked(ladder, "chinchilla", bootstrap=0, card=False)


@pytest.fixture(scope="module")
def scored(ladder):
    return backtest(ladder, options=FEW_DRAWS)


def points(ax, number=0):
    return np.asarray(ax.collections[number].get_offsets())


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_loss_against_compute_draws_every_usable_run_and_no_other(ladder, ax):
    plot_loss_against(ladder, ax=ax)
    used = ladder.usable("train_flops")
    drawn = points(ax)
    assert len(drawn) == 40  # 5 budgets x 4 sizes x 2 seeds; not the held-out, not the diverged
    np.testing.assert_array_equal(drawn[:, 0], used.column("train_flops"))
    np.testing.assert_array_equal(drawn[:, 1], used.column("loss"))


def test_axis_labels_come_from_the_table_of_columns(ladder, ax):
    plot_loss_against(ladder, ax=ax)
    assert ax.get_xlabel().lower() == label("train_flops").lower()
    assert ax.get_ylabel().lower() == label("loss").lower()


def test_the_band_is_the_interval_of_the_fit(ladder, ax):
    runs = unbeaten_runs(ladder)
    fit = fit_as_asked(runs, "power_law", bootstrap=100, card=False)
    plot_loss_against(ladder, fit=fit, ax=ax)
    (line,) = ax.lines
    x, y = line.get_data()
    np.testing.assert_allclose(y, fit.law.loss(x), rtol=1e-12)  # the same arithmetic
    band = ax.collections[1].get_paths()[0].vertices
    low, high = fit.interval(lambda law: law.loss(x), 0.9)
    assert band[:, 1].min() == pytest.approx(low.min())
    assert band[:, 1].max() == pytest.approx(high.max())


def test_the_forecast_and_the_held_out_run_are_drawn_as_they_are(ladder, ax):
    made = forecast(ladder, Targets.flops(2e20, 1e21), options=FEW_DRAWS)
    check = check_held_out(ladder)
    plot_loss_against(ladder, forecast=made, held_out=check, ax=ax)
    ranges, medians = ax.collections[1].get_segments(), points(ax, 2)  # few targets: one by one
    assert medians[:, 1].tolist() == [t.median for t in made.targets]
    np.testing.assert_allclose(medians[:, 0], [2e20, 1e21], rtol=1e-9)  # rounding of exp(log)
    assert [tuple(ends[:, 1]) for ends in ranges] == [t.intervals[0.9] for t in made.targets]
    measured = points(ax, len(ax.collections) - 1)
    assert measured.tolist() == [[check.runs[0].at["train_flops"], check.runs[0].measured]]
    assert "held-out run, measured" in labels(ax)


def test_the_line_of_the_forecast_ends_at_the_last_target_that_the_runs_support(ladder, ax):
    made = forecast(ladder, Targets.flops(2e20, 1e21, 3e21, 1e25, 1e26), options=FEW_DRAWS)
    assert [t.supported for t in made.targets] == [True, True, True, False, False]
    plot_loss_against(ladder, forecast=made, ax=ax)
    (line,) = ax.lines
    assert line.get_xdata()[-1] == pytest.approx(3e21)  # rounding of exp(log)
    assert len(line.get_xdata()) == 3
    supported, rough = ax.collections[1:]
    assert supported.get_paths()[0].vertices[:, 0].max() == pytest.approx(3e21)
    assert rough.get_hatch() and not supported.get_hatch()
    reach = rough.get_paths()[0].vertices[:, 0]
    assert (reach.min(), reach.max()) == pytest.approx((3e21, 1e26))  # the ranges meet
    assert "order of magnitude only, 90% interval" in labels(ax)


def test_a_forecast_without_support_has_a_hatched_range_and_no_line(ladder, ax):
    made = forecast(ladder, Targets.flops(1e25, 1e26), options=FEW_DRAWS)
    plot_loss_against(ladder, forecast=made, ax=ax)
    assert not ax.lines
    assert labels(ax) == ["runs used by fits", "order of magnitude only, 90% interval"]


def test_isoflop_curves_have_one_colour_a_budget_and_follow_the_law(ladder, surface_fit, ax):
    plot_isoflop(ladder, fit=surface_fit, ax=ax)
    assert len(labels(ax)) == len(ax.lines) == 5
    n, loss = ax.lines[0].get_data()
    np.testing.assert_allclose(
        loss,
        surface_fit.law.loss(n, 1e18 / (6 * n)),
        rtol=1e-9,  # the budget's line in logs is fitted: rounding only
    )


def test_isoflop_of_many_budgets_keeps_a_readable_legend(ax, truth):
    from scaling.simulate import isoflop_runs, simulate_records

    runs = isoflop_runs(np.geomspace(1e18, 1e20, 20), [0.5, 1.0, 2.0], truth)
    plot_isoflop(simulate_records(truth, runs), ax=ax)
    assert len(labels(ax)) == 9  # eight budgets and "other"
    assert len(points(ax)) == 12 * 3
    assert labels(ax)[1] == flops_in_math(1e18) and labels(ax)[-1] == flops_in_math(1e20)


def test_a_ladder_of_one_size_a_budget_has_no_isoflop_figure(ladder):
    assert has_isoflop(ladder)
    assert not has_isoflop(unbeaten_runs(ladder))


def test_residuals_are_those_of_the_fit_in_percent(ladder, surface_fit, ax):
    plot_residuals(surface_fit, ladder, ax=ax)
    drawn = np.concatenate([points(ax, i) for i in range(len(ax.collections))])
    expected = 100 * np.expm1(np.asarray(surface_fit.log_residuals))
    np.testing.assert_allclose(np.sort(drawn[:, 1]), np.sort(expected))


def test_residuals_of_other_records_are_refused(ladder, surface_fit, ax):
    with pytest.raises(FitError, match="give the records that were fitted"):
        plot_residuals(surface_fit, ladder.where("train_flops > 2e18"), ax=ax)


def test_backtest_errors_show_every_prediction_and_mark_the_missed(scored, ax):
    plot_backtest_errors(scored, ax=ax)
    clouds = [c for c in ax.collections if len(c.get_offsets()) and hasattr(c, "get_sizes")]
    drawn = np.concatenate([np.asarray(c.get_offsets())[:, 1] for c in clouds])
    expected = [100 * (p.predicted / p.measured - 1) for p in scored.predictions]
    np.testing.assert_allclose(np.sort(drawn), np.sort(expected))
    missed = sum(not p.low_90 <= p.measured <= p.high_90 for p in scored.predictions)
    assert ("measured loss outside the 90% interval" in labels(ax)) == (missed > 0)


def test_backtest_coverage_shows_the_scores(scored, ax):
    plot_backtest_coverage(scored, ax=ax)
    overall = ax.lines[-1].get_ydata()
    assert list(overall) == [100 * v for _, v in sorted(scored.overall.coverage.items())]


def test_training_curves_are_one_line_a_run(ax):
    steps = np.arange(50)
    curves = pd.DataFrame(
        {
            "run_id": np.repeat(["a", "b"], 50),
            "step": np.tile(steps, 2),
            "train_loss": np.r_[4 / (1 + steps), 5 / (1 + steps)],
        }
    )
    plot_loss_curves(curves, ax=ax)
    assert len(ax.lines) == 2
    assert ax.lines[0].get_xdata().min() == 1  # step zero has no place on a log axis


def test_a_run_of_one_step_is_a_point(ax):
    curves = pd.DataFrame({"run_id": "a", "step": [0, 10], "train_loss": [4.0, 3.5]})
    plot_loss_curves(curves, ax=ax)
    (line,) = ax.lines
    assert line.get_marker() == "." and line.get_xdata().tolist() == [10]


def test_a_last_point_right_after_its_neighbour_draws_no_upright_line(ax):
    steps = [25, 50, 75, 100, 101]
    curves = pd.DataFrame({"run_id": "a", "step": steps, "train_loss": [4.0, 3.5, 3.2, 3.0, 2.0]})
    plot_loss_curves(curves, ax=ax)
    assert ax.lines[0].get_xdata().tolist() == [25, 50, 75, 100]


def test_a_figure_without_axes_makes_its_own(ladder):
    from matplotlib import pyplot as plt

    made = plot_loss_against(ladder)
    assert made.figure.number in plt.get_fignums()
    plt.close(made.figure)


def test_no_legend_hides_a_point_or_a_line(ladder, surface_fit, scored, truth):
    """Even where the points fill the axes: every legend stands outside them."""
    check = check_held_out(ladder, options=FEW_DRAWS)
    drawings = (
        lambda ax: plot_loss_against(ladder, held_out=check, ax=ax),
        lambda ax: plot_residuals(surface_fit, ladder, ax=ax),
        lambda ax: plot_isoflop(ladder, fit=surface_fit, ax=ax),
        lambda ax: plot_backtest_errors(scored, ax=ax),
        lambda ax: plot_backtest_coverage(scored, ax=ax),
    )
    for draw in drawings:
        with figure_style():
            ax = Figure(figsize=(5, 4)).add_subplot()
            draw(ax)
            ax.figure.draw_without_rendering()
        for legend in (*ax.figure.legends, *filter(None, [ax.get_legend()])):
            assert not legend.get_window_extent().padded(-2).overlaps(ax.bbox)  # pixels


def test_a_law_of_sizes_without_common_budgets_is_drawn_along_tokens(truth, ax):
    sizes = np.repeat([1e7, 3.1e7, 9.7e7], 4)
    grid = {"params": sizes, "tokens": sizes * np.tile([11.0, 23.0, 47.0, 95.0], 3)}
    records = simulate_records(truth, grid, relative_noise=0.001, seed=2)
    assert not has_isoflop(records)
    fit = fit_as_asked(records, "chinchilla", bootstrap=0, card=False)
    assert fit.plot(ax) is ax
    assert labels(ax) == ["10M", "31M", "97M"]
    for number, size in enumerate((1e7, 3.1e7, 9.7e7)):
        own = records.column("params") == size
        runs = np.column_stack([records.column("tokens")[own], records.column("loss")[own]])
        np.testing.assert_array_equal(points(ax, number), runs)
        d, loss = ax.lines[number].get_data()
        np.testing.assert_allclose(loss, fit.law.loss(np.full(len(d), size), d), rtol=1e-12)
    assert ax.get_xlabel().lower() == label("tokens").lower()


def test_runs_of_one_budget_but_for_rounding_have_an_axis_of_some_width(ax):
    compute = 1e19 * (1 + np.array([0, 1, -1, 2]) * 2.0**-52)
    runs = records_from_table(pd.DataFrame({"train_flops": compute, "loss": [3.0, 3.1, 3.2, 3.3]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_loss_against(runs, ax=ax)
        ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    assert low < 1e19 < high


def test_one_run_has_an_axis_of_losses_near_its_own(ax):
    plot_loss_against(
        records_from_table(pd.DataFrame({"train_flops": [1e19], "loss": [3.0]})), ax=ax
    )
    low, high = ax.get_ylim()
    assert 2.5 < low < 3 < high < 3.5


@pytest.mark.parametrize("name", [r"$\frac{a}{$", "a $b$ of c_d^e", "a" + 40 * " long"])
def test_names_of_a_table_are_drawn_as_they_are_written(ladder, name, ax):
    """Dollar signs would make them formulas, and one that is none ended the figure in an error."""
    table = pd.DataFrame({name: np.geomspace(1, 100, 9), "loss": np.linspace(3, 2, 9)})
    plot_loss_against(records_from_table(table), x=name, ax=ax)
    plot_loss_against(
        replace(ladder, table=ladder.table.assign(**{f"baseline.{name}": 3.5})), ax=ax
    )
    ax.set_xlabel(axis_label(name))
    assert ax.get_xlabel().replace("\\$", "$")[:10] == name[:10]
    ax.figure.canvas.draw()


def test_what_losses_are_held_against_is_a_named_line_where_it_is_finite(ladder, ax):
    entropy = 0.9 * np.nanmin(ladder.column("loss"))
    table = ladder.table.assign(
        **{"entropy": entropy, "baseline.bigram": 3.5, "baseline.trigram_unseen_tokens": 4}
    )
    plot_loss_against(replace(ladder, table=table), ax=ax)
    heights = sorted(float(line.get_ydata()[0]) for line in ax.lines)
    assert heights == pytest.approx(sorted([entropy, 3.5]))
    assert {text.get_text() for text in ax.texts} == {f"entropy {entropy:.4g}", "bigram 3.5"}


def test_names_of_neighbouring_lines_do_not_lie_on_each_other(ladder, ax):
    table = ladder.table.assign(**{f"baseline.near{i}": 3.5 + 0.01 * i for i in range(2)})
    plot_loss_against(replace(ladder, table=table), ax=ax)
    sides = [text.xy[0] for text in ax.texts]
    assert sorted(sides) == [0.0, 1.0]
