"""Facts about sealed forecasts: fixed before the run, scored after it, not to be changed."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from analysis.evaluation.sealed import Seal, runs_at, seal_forecast
from analysis.evaluation.verdicts import record_line, standing_of, standings_of
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.intervals import Interval
from analysis.text.evaluation import standing_text, standings_text
from scaling.errors import ForecastError, RecordError
from scaling.limits import Limit, LimitCode, texts
from scaling.records import records_from_table
from scaling.store.seals.chain import KeptSeal, SealChain
from scaling.store.stored_runs import RunTimes
from tests.grids import grid_of_runs, true_loss

ONE_BACKTEST = ForecastOptions(backtests=1)

RUNS = grid_of_runs(5, noise=0)
NEW = {"params": 5e8, "tokens": 5e10}
NEW_LOSS = true_loss(**NEW)


def ladder(extra=()):
    table = pd.concat([RUNS, pd.DataFrame(extra)], ignore_index=True)
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    return records_from_table(table)


def score_seal(seal, records):
    return standing_of(seal, records).verdicts


def codes_of(standing):
    """The codes of what limits a standing and its verdicts."""
    limits = [*standing.limits, *(limit for one in standing.verdicts for limit in one.limits)]
    return {limit.code for limit in limits}


def chain_of(*seals, **limits):
    """These seals as a store without complaints keeps them."""
    kept = [
        KeptSeal(
            name=one.name,
            number=number,
            digest=one.digest,
            kept_at=datetime.fromisoformat(one.sealed_at),
            document=one.to_json(),
        )
        for number, one in enumerate(seals, start=1)
    ]
    return SealChain(name="c", seals=tuple(kept), count=len(kept), **limits)


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
    answer = forecast(records, Targets.runs([1e8], [1e10]), options=ONE_BACKTEST)
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

    def load(one):
        return landed if one.name == "first" else ladder()

    first, second = standings_of(chain_of(seal, other), load)
    assert (len(first.verdicts), len(first.waiting)) == (1, 0)
    assert (len(second.verdicts), len(second.waiting)) == (0, 1)
    record = record_line((first, second))
    assert "2 sealed forecasts: 1 verdict, 1 waiting" in record
    assert "1 of 1 inside the 90% interval" in record
    assert standings_text((first, second)).count("sealed 20") == 2


def test_a_source_that_is_gone_stops_no_other_seal(seal):
    def load(one):
        raise RecordError("runs.csv: no such file")

    (standing,) = standings_of(chain_of(seal), load)
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
    sets = ["one"] * len(RUNS) + ["other"]
    for other in (on(sets, landed), on("other", landed)):
        standing = standing_of(seal, other)
        assert standing.verdicts == () and LimitCode.OTHER_EVALUATION in codes_of(standing)
        (text,) = texts(standing.limits, of=(LimitCode.OTHER_EVALUATION,))
        assert "eval_hash of r25 is other, but the forecast was sealed for one" in text
    kind = replace(landed, table=landed.table.assign(loss_kind="accuracy"))
    assert LimitCode.OTHER_EVALUATION in codes_of(standing_of(seal, kind))


def test_runs_without_what_was_asked_for_are_refused(seal):
    with pytest.raises(RecordError, match='no column "tokens"'):
        score_seal(seal, replace(ladder(), table=ladder().table[["params", "loss"]]))


def test_a_level_is_said_in_full(seal):
    target = replace(seal.targets[0], intervals={0.999: Interval(1.0, 3.0)})
    (verdict,) = score_seal(replace(seal, targets=(target,)), ladder([{**NEW, "loss": NEW_LOSS}]))
    assert "inside 99.9%" in verdict.line


def sealed(seal):
    return datetime.fromisoformat(seal.sealed_at)


class Stored:
    """What a store knows of the run r25, and of one that the forecast was made from."""

    def __init__(self, began, ended=None, losses=(NEW_LOSS,), seen=None):
        self.times = {"r25": RunTimes(began, ended), "r0": RunTimes(seen, seen and began)}
        self.told = {"r25": tuple(losses)}

    def losses(self, run_ids):
        return self.told


LANDED = ({**NEW, "loss": NEW_LOSS},)
HOUR = timedelta(hours=1)


def test_a_seal_that_was_made_before_its_run_began_counts(seal):
    standing = standing_of(seal, ladder(LANDED), stored=Stored(sealed(seal) + HOUR))
    (verdict,) = standing.verdicts
    assert verdict.counted and verdict.limits == ()
    assert "1 verdict, 0 waiting" in record_line((standing,))


@pytest.mark.parametrize(
    ("began", "ended", "says"), [(-HOUR, HOUR, "after the run began"), (-HOUR, -HOUR, "run ended")]
)
def test_a_seal_that_was_made_after_its_run_began_does_not_count(seal, began, ended, says):
    stored = Stored(sealed(seal) + began, sealed(seal) + ended)
    standing = standing_of(seal, ladder(LANDED), stored=stored)
    (verdict,) = standing.verdicts
    assert not verdict.counted and LimitCode.SEALED_LATE in codes_of(standing)
    text = standing_text(standing)
    assert says in text and "NOT COUNTED" in text
    assert f"{sealed(seal) + began:%Y-%m-%d %H:%M}" in text  # both times are said
    assert "0 verdicts, 1 not counted" in record_line((standing,))


@pytest.mark.parametrize("zone", ["+00:00", "", "Z"])
def test_times_are_read_from_a_table_that_has_them(seal, zone):
    for hours, counts in ((-1, False), (1, True)):
        began = (sealed(seal) + hours * HOUR).strftime("%Y-%m-%dT%H:%M:%S") + zone
        standing = standing_of(seal, ladder([{**LANDED[0], "start_time": began}]))
        assert [verdict.counted for verdict in standing.verdicts] == [counts]
    epoch = (sealed(seal) - HOUR).timestamp()
    for count in (epoch, 1000 * epoch):
        standing = standing_of(seal, ladder([{**LANDED[0], "started_at": count}]))
        assert LimitCode.SEALED_LATE in codes_of(standing)


def test_a_table_without_times_says_that_they_cannot_be_compared(seal):
    standing = standing_of(seal, ladder(LANDED))
    assert standing.verdicts[0].counted and LimitCode.TIME_UNKNOWN in codes_of(standing)
    assert "time cannot be compared" in standing_text(standing)


def test_a_run_that_a_filter_hid_when_it_was_sealed_is_known_and_does_not_count():
    everything = ladder([{**NEW, "loss": NEW_LOSS}])
    everything = replace(everything, table=everything.table.assign(batch=range(26)))
    seen = everything.where("batch < 25")
    answer = forecast(seen, Targets.runs([5e8], [5e10]), options=ONE_BACKTEST)
    how = {"asked": ("params", "tokens"), "where": ["batch < 25"]}
    made = seal_forecast(answer, "blind", seen, unfiltered=everything, **how)
    assert made.known == {"r25": NEW_LOSS}
    for run_id in ("r25", "renamed"):  # by its loss, whatever it is called by now
        table = everything.table.replace("r25", run_id)
        standing = standing_of(made, replace(everything, table=table))
        assert not standing.verdicts[0].counted
        assert LimitCode.SEALED_LATE in codes_of(standing)
    unlooked = seal_forecast(answer, "blind", seen, **how)
    assert unlooked.known is None
    assert "what --where batch < 25 left out" in standing_text(standing_of(unlooked, everything))


def test_a_run_that_is_still_training_cannot_be_forecast_any_more():
    table = ladder([{**NEW, "loss": np.nan}]).table.assign(status="finished")
    table.loc[25, ["status", "tokens"]] = ["running", 1e9]
    table["planned_tokens"] = [*RUNS["tokens"], NEW["tokens"]]
    records = records_from_table(table)
    answer = forecast(ladder(), Targets.runs([5e8], [5e10]), options=ONE_BACKTEST)
    with pytest.raises(ForecastError, match=r"has already begun \(r25\)"):
        seal_forecast(answer, "late", records, asked=("params", "tokens"))
    assert [run.name for run in runs_at(made_target(answer, records), records)] == ["r25"]


def made_target(answer, records):
    """The sealed target of a forecast, from records in which its run is not yet."""
    fresh = records.where("status == finished")
    (target,) = seal_forecast(answer, "early", fresh, asked=("params", "tokens")).targets
    return target


def test_a_run_whose_loss_was_changed_after_it_was_told_does_not_count(seal):
    stored = Stored(sealed(seal) + HOUR, losses=(2 * NEW_LOSS, NEW_LOSS))
    standing = standing_of(seal, ladder(LANDED), stored=stored)
    assert not standing.verdicts[0].counted and LimitCode.ALTERED in codes_of(standing)


def test_a_run_that_changed_since_it_first_verified_does_not_count(seal):
    chain = chain_of(seal)
    note = {"target": 0, "source": "table", "run": "r25", "loss": NEW_LOSS, "at": "2026-12-01"}
    kept = replace(chain.seals[0], verified=(note,))
    same = standing_of(seal, ladder(LANDED), kept=kept, chain=chain)
    assert same.verdicts[0].counted and LimitCode.ALTERED not in codes_of(same)
    for runs in ([{**NEW, "loss": 1.001 * NEW_LOSS}], []):  # edited, and deleted
        changed = standing_of(seal, ladder(runs), kept=kept, chain=chain)
        assert LimitCode.ALTERED in codes_of(changed)
        assert not any(verdict.counted for verdict in changed.verdicts)


def test_a_clock_that_was_set_back_contradicts_the_runs_that_the_forecast_saw(seal):
    stored = Stored(sealed(seal) + HOUR, seen=sealed(seal) + HOUR / 2)
    standing = standing_of(seal, ladder(LANDED), stored=stored)
    assert not standing.verdicts[0].counted and LimitCode.ALTERED in codes_of(standing)


def test_a_fact_that_was_added_later_to_a_run_that_the_forecast_saw_is_no_complaint(seal):
    stored = Stored(sealed(seal) + 2 * HOUR, seen=sealed(seal) - HOUR)  # its end moved
    standing = standing_of(seal, ladder(LANDED), stored=stored)
    assert standing.verdicts[0].counted and LimitCode.ALTERED not in codes_of(standing)


def test_what_is_missing_from_a_chain_is_said_with_the_record_and_costs_no_verdict(seal):
    gone = (Limit(LimitCode.SEAL_MISSING, "of 2 seals the store has lost number 2"),)
    (standing,) = standings_of(chain_of(seal, limits=gone), lambda one: ladder(LANDED))
    assert standing.verdicts[0].counted
    assert "number 2" in record_line((standing,)) and "number 2" in standing_text(standing)
    with pytest.raises(ForecastError, match="number 2"):
        standings_of(chain_of(limits=gone), lambda one: ladder(LANDED))


def test_a_document_that_is_no_seal_is_one_line(seal):
    for text in ("{}", "[1]", "no JSON", '{"targets": [{}]}'):
        with pytest.raises(ForecastError, match="no sealed forecast"):
            Seal.from_json(text)
    document = json.loads(seal.to_json())
    target = document["targets"][0]
    wrong = (
        {"source": 5},
        {"reading": {"of another version": "x"}},
        {"reading": {"better": "perhaps"}},
        {"columns": []},
        {"seen_runs": [{}]},
        {"measured_on": {"loss_kind": {}}},
        {"known": {"r1": "low"}},
        {"targets": [target | {"median": "low"}]},
        {"targets": [target | {"asked": ["width"]}]},
    )
    for part in wrong:
        with pytest.raises(ForecastError, match="no sealed forecast"):
            Seal.from_json(json.dumps(document | part))
    chain = chain_of(seal, replace(seal, name="forged"))
    forged = replace(chain.seals[1], document="{}")
    chain = replace(chain, seals=(chain.seals[0], forged))
    (standing,) = standings_of(chain, lambda one: ladder())
    assert '"forged" is not read' in record_line((standing,))


def test_what_is_not_proved_is_always_said(seal):
    chain = chain_of(seal)
    for how in ({}, {"kept": chain.seals[0], "chain": chain}):
        assert LimitCode.NOT_PROVED in codes_of(standing_of(seal, ladder(LANDED), **how))
