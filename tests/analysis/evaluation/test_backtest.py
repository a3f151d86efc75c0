"""Facts about backtests and their scores."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from analysis.evaluation.backtest import Backtest, backtest
from analysis.evaluation.scored import BANDS
from analysis.evaluation.scores import covered, interval_score
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import pose
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.weighing.forecaster import prepare
from analysis.forecasting.weighing.rolling_origin import weigh
from analysis.text.evaluation import backtest_text
from scaling.errors import ForecastError
from scaling.laws.surfaces import Chinchilla
from scaling.records import read_records, records_from_table
from scaling.simulate import isoflop_runs, simulate_records

TRUTH = Chinchilla(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart_runs.csv"
RUNS = isoflop_runs(np.geomspace(1e18, 1e20, 6), [0.4, 0.7, 1.4, 2.5], TRUTH)


@pytest.fixture(scope="module")
def ladder():
    return simulate_records(TRUTH, RUNS, relative_noise=0.003, seed=1)


@pytest.fixture(scope="module")
def tested(ladder):
    return backtest(ladder)


def test_hiding_more_budgets_leaves_fewer_runs(tested):
    seen = [origin.runs_seen for origin in tested.origins]
    assert seen == sorted(seen, reverse=True)
    assert seen[:3] == [20, 16, 12]
    assert all(o.runs_seen + o.runs_hidden == 24 for o in tested.origins)


def test_a_clean_ladder_is_predicted_to_about_its_noise(tested):
    assert tested.by_distance[0].score.error < 1.0  # percent: noise 0.3, and a margin of three


def test_every_hidden_run_lies_beyond_what_was_seen(tested):
    for p in tested.predictions:
        assert p.at > tested.origins[p.origin].largest_seen
        assert p.low_90 < p.predicted < p.high_90


def test_overall_is_the_plain_mean_over_origins(tested):
    errors = [score.error for score in tested.by_origin]
    assert tested.overall.error == pytest.approx(np.mean(errors))


def test_a_backtest_survives_writing_and_reading(tested):
    assert Backtest.from_json(tested.to_json()) == tested


def test_hidden_losses_do_not_reach_the_forecast_of_them(ladder, tested):
    table = ladder.table.copy()
    top = table["train_flops"] > 5e19
    table.loc[top, "loss"] *= 1.02
    moved = backtest(records_from_table(table))
    first = [p.predicted for p in tested.predictions if p.origin == 0]
    again = [p.predicted for p in moved.predictions if p.origin == 0]
    assert first == pytest.approx(again, rel=1e-12)


def test_a_curve_is_backtested_along_its_own_column():
    x = np.geomspace(1e6, 1e9, 24)
    curve = {"seen": x, "loss": 0.3 + 40 * x**-0.3}
    import pandas as pd

    tested = backtest(records_from_table(pd.DataFrame(curve)), options=ForecastOptions(x="seen"))
    assert tested.inputs == ("seen",)
    assert tested.by_distance[0].score.error < 1.0


def test_too_few_budgets_are_refused_in_one_line(ladder):
    few = ladder.select(ladder.column("train_flops") < 6e18, "few")
    with pytest.raises(ForecastError, match="too few to hide") as caught:
        backtest(few)
    assert "\n" not in str(caught.value)


def test_without_backtests_weights_and_scale_stay_at_their_defaults(ladder):
    question = pose(ladder, ("train_flops",), DEFAULT)
    forecaster = prepare(question, ForecastOptions(backtests=0))
    weighing = weigh(forecaster.backtests, forecaster.ensemble, np.array([0.5, 1.0]))
    np.testing.assert_allclose(weighing.weights, [forecaster.ensemble.first_weights] * 2)
    np.testing.assert_array_equal(weighing.scale_squared, [1.0, 1.0])


def test_backtests_at_the_wanted_distance_count_most(ladder):
    question = pose(ladder, ("train_flops",), DEFAULT)
    forecaster = prepare(question, DEFAULT)
    near, far = weigh(forecaster.backtests, forecaster.ensemble, np.array([0.5, 6.0])).evidence
    assert near > 2 * far


def test_the_interval_score_is_lowest_at_the_true_quantiles():
    measured = np.random.default_rng(0).standard_normal(20_000)

    def mean_score(half_width):
        low, high = np.full(20_000, -half_width), np.full(20_000, half_width)
        return interval_score(low, high, measured, 0.9).mean()

    # 1.645 is the 95% point of the normal distribution
    assert mean_score(1.645) < min(mean_score(1.3), mean_score(2.0))


def test_ends_count_as_covered():
    ones = np.ones(1)
    assert covered(ones, ones, ones).all()


def test_the_furthest_band_is_named_by_where_it_begins(tested):
    """Nobody asks how far a forecast may go at most: twelve decades is a guard, not a range."""
    near = tested.by_distance[0]
    bands = [replace(near, decades_from=a, decades_to=b) for a, b in pairwise(BANDS)]
    assert [band.words for band in bands][-2:] == ["1 to 2 decades", "more than 2 decades"]
    shown = backtest_text(replace(tested, by_distance=tuple(bands)))
    assert "more than 2 decades" in shown and "12 decades" not in shown


def test_a_forecast_and_a_backtest_that_hide_the_same_runs_find_the_same_error():
    """One origin, and too few runs below it to backtest again: the weights are those of the fit."""
    records = read_records(EXAMPLE)
    scored, made = backtest(records), forecast(records, Targets.flops(8e11))
    (origin,) = scored.by_origin
    (sentence,) = made.evidence
    assert f"error was {origin.error:.2f}% on average, bias {origin.bias:+.2f}%" in sentence
    assert made.targets[0].backtest_error == pytest.approx(origin.error, rel=1e-3)  # by distance
