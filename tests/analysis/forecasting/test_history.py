"""Facts about forecasts along the curve of one run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.report import gather_findings
from analysis.report.page.references import references_for
from scaling.errors import ForecastError
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table

END = 4000.0
STEPS = np.arange(1, 41) * 50.0
PLANNED = np.arange(1, 81) * 50.0
OPTIONS = ForecastOptions(x="step", draws=500)


def told(table, at=END, options=OPTIONS):
    records = records_from_table(table, source="curve")
    return forecast(records, Targets.along("step", at), options=options)


def wsd(x):
    """The peak up to half of the run, and a fall to zero."""
    return np.clip(2 * (END - x) / END, 0, 1)


def curve_of(noise=0.005, annealed=0.0, x=STEPS):
    """Losses of a run, which lowering the rate brings down by a share."""
    rng = np.random.default_rng(3)
    loss = 2 + 20 * x**-0.5 - annealed * (1 - wsd(x))
    return loss * np.exp(noise * rng.standard_normal(len(x)))


def with_rates(loss):
    """The curve up to half of the run, and the rate of all of it."""
    padded = np.append(loss, np.full(len(PLANNED) - len(loss), np.nan))
    return pd.DataFrame({"step": PLANNED, "loss": padded, "learning_rate": 3e-4 * wsd(PLANNED)})


def text(result, code):
    return next(limit.text for limit in result.limits if limit.code is code)


def test_the_source_of_an_annealed_law_stands_on_the_page_beside_that_of_its_law():
    known = told(with_rates(curve_of()))
    assert Forecast.from_json(known.to_json()) == known
    assert set(known.references) == set(known.laws)
    records = records_from_table(pd.DataFrame({"step": STEPS, "loss": curve_of()}), source="curve")
    bare = gather_findings(records, options=OPTIONS, bootstrap=0, with_backtest=False)
    tissue = {"2408.11029"}
    assert not tissue & {one.reference.arxiv for one in references_for(bare)}
    cited = {one.reference.arxiv: one for one in references_for(replace(bare, forecast=known))}
    assert (
        tissue < set(cited) and 'what "power law with floor, annealed"' in cited["2408.11029"].line
    )


def test_a_known_decay_lowers_the_forecast_of_a_run_that_has_not_begun_it():
    bare = told(pd.DataFrame({"step": STEPS, "loss": curve_of()}))
    known = told(with_rates(curve_of()))
    assert "enters the laws" in text(known, LimitCode.ONE_RUN)
    assert "not told" in text(bare, LimitCode.ONE_RUN)
    assert known.targets[0].centre < bare.targets[0].centre
    assert all(name.endswith(", annealed") for name in known.laws)


def test_a_decay_that_has_begun_tells_what_the_rest_of_it_brings():
    x = PLANNED[:72]  # 80% of the fall is seen
    end = 2 + 20 * END**-0.5 - 0.25
    result = told(with_rates(curve_of(annealed=0.25, x=x)))
    assert result.targets[0].centre == pytest.approx(end, rel=0.01)  # two standard errors
    low, high = result.targets[0].intervals[0.9]
    assert low < end < high


def test_the_columns_of_a_schedule_say_the_same_as_a_rate_in_every_row():
    table = with_rates(curve_of())
    shape = table.iloc[: len(STEPS)].drop(columns="learning_rate")
    # a linear fall from the end of the warm-up on
    named = shape.assign(
        schedule="linear", warmup_tokens=400.0, planned_steps=END, batch_tokens=1.0
    )
    rates = np.minimum(PLANNED / 400, (END - PLANNED) / (END - 400))
    by_row = told(table.assign(learning_rate=rates))
    # the schedule is summed on a finer grid than rows 50 steps apart
    assert told(named).targets[0].centre == pytest.approx(by_row.targets[0].centre, rel=2e-3)


def test_a_rate_that_is_told_no_further_than_the_losses_is_not_guessed():
    table = with_rates(curve_of()).iloc[: len(STEPS)]
    assert "is not told" in text(told(table.assign(learning_rate=STEPS)), LimitCode.ONE_RUN)


def test_a_target_beyond_the_schedule_is_refused_in_a_line():
    with pytest.raises(ForecastError, match="told up to step 4000, and a target lies at 5000"):
        told(with_rates(curve_of()), at=5000.0)


def test_a_start_that_rises_is_left_out_and_said():
    loss = np.where(STEPS < 400, 2 + STEPS / 800, 2 + 20 * STEPS**-0.5)
    result = told(pd.DataFrame({"step": STEPS, "loss": loss}))
    assert "the start of the run, where the loss rises (7)" in text(result, LimitCode.LEFT_OUT)
    low, high = result.targets[0].intervals[0.9]
    assert low < 2 + 20 * END**-0.5 < high
    assert result.targets[0].median is not None


def test_a_noisy_curve_has_a_median_where_its_fall_is_no_chance():
    result = told(pd.DataFrame({"step": STEPS, "loss": curve_of(noise=0.09)}))
    assert result.targets[0].median is not None
    low, high = result.targets[0].intervals[0.9]
    assert high / low > 1.25  # of one more point, 3.3 standard deviations of the noise


def test_a_curve_that_falls_in_steps_is_answered_and_said_to():
    loss = np.where(STEPS < 400, 3.2, np.where(STEPS < 1200, 2.9, 2.7))
    loss = loss * np.exp(0.005 * np.random.default_rng(0).standard_normal(len(STEPS)))
    result = told(pd.DataFrame({"step": STEPS, "loss": loss}))
    low, high = result.targets[0].intervals[0.9]
    assert first_of(LimitCode.UNSUPPORTED, result.limits) is None
    assert low < 2.7 < high


def test_a_curve_that_does_not_fall_is_refused():
    loss = 3 * np.exp(0.02 * np.random.default_rng(0).standard_normal(len(STEPS)))
    with pytest.raises(ForecastError, match="the loss does not fall with step"):
        told(pd.DataFrame({"step": STEPS, "loss": loss}))


def test_a_column_that_counts_no_steps_is_no_history():
    table = pd.DataFrame({"shots": STEPS, "loss": curve_of()})
    records = records_from_table(table, source="table")
    result = forecast(
        records, Targets.along("shots", END), options=ForecastOptions(x="shots", draws=500)
    )
    assert first_of(LimitCode.ONE_RUN, result.limits) is None
