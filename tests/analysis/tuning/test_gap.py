"""What learning-rate checks of some runs say of all: `analysis.tuning.gap`."""

import numpy as np
import pytest

from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.tuning.gap import checked_gap, tuning_gap
from analysis.tuning.screening import screen, weighed, with_open_checks
from benchmarks.simulated.ladders import simulated_ladders
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table

DECADE = np.log(10)
COMPUTE = 30 + DECADE * np.repeat([0.0, 0.5, 1.0, 1.5, 2.0], 4)
SHAPE = np.arange(20) // 2  # two runs a shape
CARRIES = np.arange(20) % 2 == 0


def gaps(excess, stderr):
    measured = np.where(CARRIES, np.expm1(excess), np.nan)
    return tuning_gap(COMPUTE, SHAPE, measured, np.where(CARRIES, stderr, np.nan))


def test_a_gap_that_falls_with_compute_is_found_on_every_run_and_beyond():
    excess = 0.04 * 0.5 ** ((COMPUTE - COMPUTE[0]) / (0.5 * DECADE))
    found = gaps(excess, 0.001)
    # ten checks to .1% each leave the trend known to about that
    assert np.abs(found.expected - excess).max() < 0.0015
    assert found.trend(np.array([COMPUTE[-1] + DECADE]))[0] < excess[-1]


def test_checks_that_found_nothing_leave_every_run_where_it_was():
    found = gaps(np.zeros(20), 0.001)
    assert found.expected.max() < 0.0005
    assert found.limits == ()


def test_a_gap_within_its_error_is_taken_off_in_part():
    alone = np.zeros(20)
    alone[4] = 0.02
    sure, unsure = gaps(alone, 0.001), gaps(alone, 0.02)
    assert 0.01 < sure.expected[4] < 0.0205
    assert unsure.expected[4] < sure.expected[4]
    assert unsure.variance[4] > sure.variance[4]
    assert sure.expected[5] == sure.expected[4]  # its shape shares it


def test_shapes_whose_best_rate_was_not_found_stay_in_where_a_third_of_the_runs_would_go():
    few, many = checked("mistuned", 3), checked("mistuned", 6)
    assert len(with_open_checks(weighed(few))) == len(screen(few)) < len(few)
    kept = with_open_checks(weighed(many))
    assert len(kept) == len(many)
    edges = many.table["health"] == "edge"
    gap, stderr = kept.column("tuning_gap")[edges], kept.column("tuning_gap_stderr")[edges]
    assert np.all(stderr >= gap)


def test_a_table_without_checks_has_no_gap():
    plain = records_from_table(next(simulated_ladders(("additive",), 1, 0)).seen)
    assert checked_gap(plain, np.log(plain.column("train_flops"))) is None


def checked(kind, number, seed=1001):
    ladders = list(simulated_ladders((kind,), number + 1, seed))
    return records_from_table(ladders[number].checked, source=f"{kind} {number}")


@pytest.mark.parametrize(("kind", "says"), [("mistuned", True), ("additive", False)])
def test_a_forecast_says_what_it_took_off_and_counts_its_uncertainty(kind, says):
    runs = checked(kind, 6)
    answer = forecast(runs, Targets.flops(10 * runs.column("train_flops").max()))
    assert (first_of(LimitCode.TUNING_TAKEN_OFF, answer.limits) is not None) == says
    # the change that a clean ladder's checks make in the forecast is next to none
    assert (answer.targets[0].shares["tuning"] > 0.01) == says


@pytest.mark.slow
def test_checks_bring_forecasts_from_badly_tuned_ladders_nearer():
    errors = {"seen": [], "checked": []}
    for ladder in simulated_ladders(("mistuned",), 24, 5150):
        targets = Targets.runs([*ladder.hidden["params"]], [*ladder.hidden["tokens"]])
        for name, found in errors.items():
            made = forecast(
                records_from_table(getattr(ladder, name)),
                targets,
                options=ForecastOptions(backtests=0),
            )
            centres = np.array([t.centre for t in made.targets])
            found.append(np.abs(centres / ladder.hidden["loss"].to_numpy() - 1).mean())
    # 7 to 12% on other seeds
    assert np.mean(errors["checked"]) < np.mean(errors["seen"])


def test_the_trend_has_standard_errors_that_grow_away_from_the_checks():
    excess = 0.04 * 0.5 ** ((COMPUTE - COMPUTE[0]) / (0.5 * DECADE))
    sure, unsure = gaps(excess, 0.001), gaps(excess, 0.006)
    ends = np.array([COMPUTE[0], COMPUTE[-1]])
    assert np.all(sure.trend_stderr(ends) < unsure.trend_stderr(ends))
    change, stderr = sure.change(*ends)
    assert change == pytest.approx(np.diff(sure.trend(ends))[0])
    assert change == pytest.approx(excess[-1] - excess[0], abs=3 * stderr)
    flat, stderr = gaps(np.full(20, 0.02), 0.002).change(*ends)
    assert abs(flat) < 2 * stderr


def test_a_forecast_has_what_the_recipe_costs_its_target_as_a_value():
    runs = checked("mistuned", 6)
    answer = forecast(runs, Targets.flops(10 * runs.column("train_flops").max()))
    (target,) = answer.targets
    assert target.tuning > 0 and target.tuning_stderr > 0
    assert f"includes {target.tuning:.2f} +- {target.tuning_stderr:.2f}%" in answer.to_text()
    (read,) = Forecast.from_json(answer.to_json()).targets
    assert (read.tuning, read.tuning_stderr) == (target.tuning, target.tuning_stderr)
