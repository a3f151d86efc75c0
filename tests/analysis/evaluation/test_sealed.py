"""Facts about sealed forecasts: fixed before the run, scored after it, not to be changed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.evaluation.sealed import Seal, record_line, score_seal, seal_forecast, standings_of
from analysis.forecasting.forecast import forecast
from analysis.forecasting.options import ForecastOptions
from analysis.forecasting.targets import Targets
from analysis.intervals import Interval
from analysis.text.evaluation import standings_text
from scaling.errors import ForecastError, RecordError
from scaling.records import records_from_table

ONE_BACKTEST = ForecastOptions(backtests=1)

PARAMS, TOKENS = (
    grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 5), np.geomspace(1e8, 1e10, 5))
)
LOSS = 1.8 + 400 / PARAMS**0.34 + 1000 / TOKENS**0.36
NEW = {"params": 5e8, "tokens": 5e10}
NEW_LOSS = 1.8 + 400 / NEW["params"] ** 0.34 + 1000 / NEW["tokens"] ** 0.36


def ladder(extra=()):
    table = pd.DataFrame({"params": PARAMS, "tokens": TOKENS, "loss": LOSS})
    table = pd.concat([table, pd.DataFrame(extra)], ignore_index=True)
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    return records_from_table(table)


@pytest.fixture(scope="module")
def seal():
    records = ladder()
    answer = forecast(
        records,
        Targets.runs([NEW["params"]], [NEW["tokens"]]),
        options=ONE_BACKTEST,
    )
    return seal_forecast(answer, "first", records, asked=("params", "tokens"))


def test_a_seal_survives_writing_and_reading(seal):
    again = Seal.from_json(seal.to_json())
    assert again == seal
    assert again.digest == seal.digest


def test_a_prediction_whose_run_has_not_landed_has_no_verdict(seal):
    assert score_seal(seal, ladder()) == ()


def test_a_landed_run_is_scored_against_what_was_sealed(seal):
    (verdict,) = score_seal(seal, ladder([{**NEW, "loss": NEW_LOSS}]))
    assert verdict.measured == NEW_LOSS
    assert verdict.error == pytest.approx(seal.targets[0].median / NEW_LOSS - 1)
    assert verdict.inside[0.9]
    assert "inside 90%" in verdict.line


def test_a_run_outside_the_interval_is_said_loudly(seal):
    (verdict,) = score_seal(seal, ladder([{**NEW, "loss": 2 * NEW_LOSS}]))
    assert "OUTSIDE 90%" in verdict.line


def test_a_run_that_exists_cannot_be_forecast_any_more():
    records = ladder()
    answer = forecast(records, Targets.runs([PARAMS[-1]], [TOKENS[-1]]), options=ONE_BACKTEST)
    with pytest.raises(ForecastError, match="has already landed"):
        seal_forecast(answer, "late", records, asked=("params", "tokens"))


def test_a_budget_asked_for_alone_is_met_by_its_best_run():
    records = ladder()
    answer = forecast(records, Targets.flops(1e20), options=ONE_BACKTEST)
    seal = seal_forecast(answer, "budget", records, asked=("train_flops",))
    runs = [
        {"params": n, "tokens": 1e20 / 6 / n, "train_flops": 1e20, "loss": loss}
        for n, loss in ((1e9, 2.6), (2e9, 2.5), (4e9, 2.7))
    ]
    (verdict,) = score_seal(seal, ladder(runs))
    assert verdict.measured == 2.5


def test_the_record_counts_verdicts_and_what_is_waiting(seal):
    landed = ladder([{**NEW, "loss": NEW_LOSS}])
    other = replace(seal, name="second")
    documents = {s.name: s.to_json() for s in (seal, other)}

    def load(one):
        return landed if one.name == "first" else ladder()

    first, second = standings_of(documents, load)
    assert (len(first.verdicts), len(first.waiting)) == (1, 0)
    assert (len(second.verdicts), len(second.waiting)) == (0, 1)
    record = record_line((first, second))
    assert "2 sealed forecasts: 1 verdicts, 1 waiting" in record
    assert "1 of 1 inside the 90% interval" in record
    assert standings_text((first, second)).count("sealed 20") == 2


def test_a_source_that_is_gone_stops_no_other_seal(seal):
    def load(one):
        raise RecordError("runs.csv: no such file")

    (standing,) = standings_of({seal.name: seal.to_json()}, load)
    assert [limit.text for limit in standing.limits] == ["not scored: runs.csv: no such file"]
    assert standing.waiting == seal.targets


def test_a_filter_that_leaves_the_target_out_cannot_be_sealed(seal):
    records = ladder()
    answer = forecast(
        records,
        Targets.runs([NEW["params"]], [NEW["tokens"]]),
        options=ONE_BACKTEST,
    )
    with pytest.raises(ForecastError, match="could never be scored"):
        seal_forecast(answer, "blind", records, asked=("params", "tokens"), where=["N < 2e8"])
    where = ["N > 1e5", "data == c4"]  # one that it passes, one of another column
    assert seal_forecast(answer, "open", records, asked=("params",), where=where).where


def on(evaluation, records):
    return replace(records, table=records.table.assign(eval_hash=evaluation))


def test_runs_on_another_evaluation_set_are_no_verdict():
    records = on("one", ladder())
    answer = forecast(
        records,
        Targets.runs([NEW["params"]], [NEW["tokens"]]),
        options=ONE_BACKTEST,
    )
    seal = seal_forecast(answer, "set", records, asked=("params", "tokens"))
    assert Seal.from_json(seal.to_json()) == seal
    landed = ladder([{**NEW, "loss": NEW_LOSS}])
    assert len(score_seal(seal, on("one", landed))) == 1
    assert len(score_seal(seal, landed)) == 1  # a table that does not say is taken at its word
    sets = ["one"] * len(LOSS) + ["other"]
    assert score_seal(seal, on(sets, landed)) == ()
    with pytest.raises(ForecastError, match='eval_hash is other, but "set" was sealed for one'):
        score_seal(seal, on("other", landed))


def test_runs_without_what_was_asked_for_are_refused(seal):
    with pytest.raises(RecordError, match='no column "tokens"'):
        score_seal(seal, replace(ladder(), table=ladder().table[["params", "loss"]]))


def test_a_level_is_said_in_full(seal):
    target = replace(seal.targets[0], intervals={0.999: Interval(1.0, 3.0)})
    (verdict,) = score_seal(replace(seal, targets=(target,)), ladder([{**NEW, "loss": NEW_LOSS}]))
    assert "inside 99.9%" in verdict.line
