"""Facts about screening: once per question; a check's verdict holds for its whole shape."""

import numpy as np
import pandas as pd
import pytest

from analysis.decisions.budget_for_loss import budget_for_loss
from analysis.decisions.optimal_split import allocate
from analysis.evaluation.backtest import backtest
from analysis.evaluation.held_out import check_held_out
from analysis.fitting.fit import fit_as_asked
from analysis.fitting.policy import fit_law
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.report.figures.draw import draw_figures
from analysis.report.findings import gather_findings
from analysis.report.write import render_report
from analysis.tuning.screening import EDGE_REASON, screen, spread_health
from scaling.limits import LimitCode, first_of
from scaling.records import Records, records_from_table

FEW_DRAWS = ForecastOptions(draws=200)


@pytest.fixture
def rungs():
    """Eight widths, two horizons each, on a power law; the shorter run carries the check."""
    rows = [
        {
            "width": width,
            "train_flops": flops,
            "loss": 1.5 + 40 * flops**-0.15,
            "loss_stderr": 0.001,
            "health": "ok" if short else None,
            "lr_gap": 0.0002 if short else np.nan,
        }
        for width in range(8, 72, 8)
        for short, flops in ((True, 1e8 * width**2), (False, 4e8 * width**2))
    ]
    return pd.DataFrame(rows)


def checked(rungs, width, health, gap):
    carries = (rungs["width"] == width) & rungs["health"].notna()
    return rungs.assign(
        health=rungs["health"].where(~carries, health),
        lr_gap=rungs["lr_gap"].where(~carries, gap),
    )


def test_a_shape_at_the_edge_is_left_out_whole_and_the_reason_is_kept(rungs):
    records = records_from_table(checked(rungs, 24, "edge", 0.02))
    used = screen(records, "train_flops")
    assert 24 not in used.table["width"].to_numpy()
    assert used.dropped_by_reason == {EDGE_REASON: 2}
    assert fit_as_asked(records, bootstrap=0).dropped == {EDGE_REASON: 2}


def test_a_soft_shape_stays_with_its_uncertainty_widened_by_the_gap(rungs):
    used = screen(records_from_table(checked(rungs, 24, "soft", 0.005)), "train_flops").table
    soft = used["width"] == 24
    expected = np.hypot(0.001, 0.005 * used["loss"])
    assert used["loss_stderr"][soft].to_numpy() == pytest.approx(expected[soft].to_numpy())
    assert (used["loss_stderr"][~soft] == 0.001).all()
    assert used["health_weight"][soft].to_numpy() == pytest.approx(0.5)
    assert (used["health_weight"][~soft] == 1).all()


def test_a_fit_follows_healthy_shapes_and_says_that_others_count_less(rungs):
    rungs["loss"] *= np.where(rungs["width"] == 24, 1.05, 1.0)
    plain = fit_as_asked(records_from_table(rungs), objective="least_squares", bootstrap=0)
    aware = fit_as_asked(
        records_from_table(checked(rungs, 24, "soft", 0.05)),
        objective="least_squares",
        bootstrap=0,
    )
    assert abs(aware.law.b + 0.15) < 0.2 * abs(plain.law.b + 0.15)
    assert first_of(LimitCode.COUNTS_LESS, aware.limits)
    assert first_of(LimitCode.COUNTS_LESS, plain.limits) is None


def test_widening_happens_once(rungs):
    table = checked(rungs, 24, "soft", 0.005)
    once = spread_health(table)
    pd.testing.assert_frame_equal(spread_health(once), once)


def test_the_best_choice_is_sought_among_runs_that_agree_in_what_the_law_reads():
    rows = [
        {
            "params": n,
            "tokens": 20 * n,
            "words": words,
            "learning_rate": rate,
            "loss": 1.7 + 400 * n**-0.34 + 3 * words**-0.2 + 0.01 * (rate - 2) ** 2,
        }
        for n in (1e7, 1e8, 1e9)
        for words, best in ((4e3, 2), (1.6e4, 3), (6.4e4, 2))
        for rate in (best, 4)
    ]
    records = records_from_table(pd.DataFrame(rows), source="runs")
    of_size = screen(records, "params", "tokens")
    assert sorted(set(of_size.table["words"])) == [6.4e4]  # the best choice of all
    of_words = screen(records, "params", "words")
    assert len(of_words) == 9 and sorted(set(of_words.table["words"])) == [4e3, 1.6e4, 6.4e4]
    assert 4 not in of_words.table["learning_rate"].to_numpy()


def test_a_table_without_checks_is_used_as_it_is(rungs):
    plain = rungs.drop(columns=["health", "lr_gap"])
    used = screen(records_from_table(plain), "train_flops")
    assert "health_weight" not in used
    assert len(used) == len(rungs)


@pytest.fixture
def screenings(monkeypatch):
    """The sources of records that were screened, one per time."""
    done, usable = [], Records.usable

    def counted(records, *columns):
        done.append(records.source)
        return usable(records, *columns)

    monkeypatch.setattr(Records, "usable", counted)
    return done


QUESTIONS = {
    "fit": lambda ladder: fit_as_asked(ladder, "chinchilla", bootstrap=10),
    "fit as reported": lambda ladder: fit_law(ladder, bootstrap=10),
    "forecast by budget": lambda ladder: forecast(ladder, Targets.flops(1e21), options=FEW_DRAWS),
    "forecast by size": lambda ladder: forecast(
        ladder, Targets.runs([1e9], [1e11]), options=FEW_DRAWS
    ),
    "forecast along a column": lambda ladder: forecast(
        ladder, Targets.along("tokens", 1e11), options=ForecastOptions(x="tokens", draws=200)
    ),
    "forecast without sizes": lambda ladder: forecast(
        records_from_table(ladder.table.drop(columns="params"), source=ladder.source),
        Targets.flops(1e21),
        options=FEW_DRAWS,
    ),
    "backtest": lambda ladder: backtest(ladder, options=FEW_DRAWS),
    "split": lambda ladder: allocate(ladder, 1e21, options=FEW_DRAWS),
    "budget for a loss": lambda ladder: budget_for_loss(ladder, 2.2, options=FEW_DRAWS),
    "held-out check": check_held_out,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_screens_the_runs_once(question, ladder, screenings):
    QUESTIONS[question](ladder)
    assert len(screenings) == 1


@pytest.mark.slow
def test_a_report_screens_once_for_its_fits_and_tables_and_once_per_further_question(
    ladder, screenings
):
    findings = gather_findings(ladder, bootstrap=10, with_backtest=False)
    # the forecast, that from all runs, the splits, the three approaches and the held-out check
    assert len(screenings) == 1 + 5
    draw_figures(findings)
    render_report(findings)
    assert len(screenings) == 1 + 5


def test_runs_that_were_screened_stay_what_they_are(rungs):
    once = screen(records_from_table(checked(rungs, 24, "soft", 0.005)), "train_flops")
    again = screen(once, "train_flops", "loss_stderr")
    pd.testing.assert_frame_equal(again.table, once.table)
    assert again.dropped == once.dropped
