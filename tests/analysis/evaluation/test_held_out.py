"""Facts about the held-out check: hidden losses stay unread, and a miss is said loudly."""

from dataclasses import replace

import pytest

from analysis.evaluation.held_out import check_held_out, forecast_held_out
from analysis.forecasting.answer.result import Forecast
from analysis.text.forecasting import forecast_text
from scaling.errors import ForecastError
from scaling.limits import LimitCode, first_of


@pytest.fixture(scope="module")
def sealed(ladder):
    return forecast_held_out(ladder)


def with_hidden_loss(ladder, loss):
    table = ladder.table.copy()
    table.loc[table["held_out"], "loss"] = loss
    return replace(ladder, table=table)


def test_the_forecast_does_not_depend_on_the_held_out_loss(ladder, sealed):
    other = forecast_held_out(with_hidden_loss(ladder, 9.9))
    assert other.targets[0].median == sealed.targets[0].median
    assert other.targets[0].intervals == sealed.targets[0].intervals


def test_a_run_that_is_not_measured_yet_can_be_forecast(ladder, sealed):
    planned = with_hidden_loss(ladder, float("nan"))
    assert forecast_held_out(planned).targets[0].median == sealed.targets[0].median


def test_the_check_finds_the_law_that_made_the_ladder(ladder, sealed, truth):
    (run,) = check_held_out(ladder, sealed).runs
    # 1.5%: ten times beyond runs with 0.3% noise; the interval is of about this width
    assert run.predicted == pytest.approx(
        float(truth.loss(run.at["params"], run.at["tokens"])), rel=0.015
    )
    assert run.is_inside
    assert run.decades_beyond == pytest.approx(1.0, abs=0.02)  # 1e21 against 1e20 FLOP


def test_the_line_states_prediction_interval_measurement_and_error(ladder, sealed):
    check = check_held_out(ladder, sealed)
    (run,) = check.runs
    low, high = run.interval
    error = 100 * (run.predicted / run.measured - 1)
    assert check.line == (
        f"held-out run: predicted {run.predicted:.4f} [{low:.4f}, {high:.4f}], "
        f"measured {run.measured:.4f}, error {error:+.2f}%"
    )
    assert check.warning is None


@pytest.mark.parametrize(("loss", "side"), [(5.0, "ABOVE"), (0.5, "BELOW")])
def test_a_measurement_outside_the_interval_is_said_loudly(ladder, sealed, loss, side):
    check = check_held_out(with_hidden_loss(ladder, loss), sealed)
    assert f"lies {side} the 90% interval" in check.warning
    assert "THE FORECAST MISSED" in check.warning
    assert "scaling health" in check.warning and "scaling backtest" in check.warning
    assert len(check.missed) == 1


def test_a_sealed_forecast_survives_its_file(ladder, sealed):
    restored = Forecast.from_json(sealed.to_json())
    assert check_held_out(ladder, restored).line == check_held_out(ladder, sealed).line


def test_a_forecast_of_other_runs_is_refused(ladder, sealed):
    target = replace(sealed.targets[0], at={"params": 1e6, "tokens": 1e6, "train_flops": 6e12})
    with pytest.raises(ForecastError, match="was not made for hidden"):
        check_held_out(ladder, replace(sealed, targets=(target,)))


def test_a_level_that_the_forecast_lacks_is_refused(ladder, sealed):
    with pytest.raises(ForecastError, match=r"0\.99 is not in the forecast"):
        check_held_out(ladder, sealed, confidence_level=0.99)


def test_nothing_held_out_and_nothing_measured_are_said_apart(ladder):
    with pytest.raises(ForecastError, match="no run is held out"):
        forecast_held_out(ladder.where("held_out == false"))
    with pytest.raises(ForecastError, match="no held-out run has finished"):
        check_held_out(with_hidden_loss(ladder, float("nan")))


def one_size_a_budget(records):
    """The ladder with one model size, whose runs say nothing of size and tokens apart."""
    return replace(records, table=records.table.assign(params=1e8))


def test_a_forecast_by_budget_for_want_of_sizes_says_so(ladder):
    made = forecast_held_out(one_size_a_budget(ladder))
    fallback = first_of(LimitCode.FALLBACK, made.limits)
    assert "by budget" in fallback.text and "only one model size" in fallback.text
    assert fallback.text in forecast_text(made)
    assert fallback in check_held_out(one_size_a_budget(ladder)).limits
    assert first_of(LimitCode.FALLBACK, forecast_held_out(ladder).limits) is None


def test_compute_that_some_runs_lack_is_said_to_be_computed(ladder):
    table = ladder.table.copy()
    table.loc[table.index[:3], "train_flops"] = float("nan")
    filled = first_of(LimitCode.FILLED_IN, forecast_held_out(replace(ladder, table=table)).limits)
    assert filled.text == "train_flops of 3 runs computed from C = 6 N D, of the others as recorded"
    assert first_of(LimitCode.FILLED_IN, forecast_held_out(ladder).limits) is None
