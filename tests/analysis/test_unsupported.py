"""Facts about what the runs do not support: nothing that people see gives a median for it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.decisions.budget_for_loss import budget_for_loss
from analysis.decisions.optimal_split import allocate
from analysis.evaluation.backtest import backtest
from analysis.evaluation.held_out import check_held_out
from analysis.evaluation.sealed import seal_forecast
from analysis.evaluation.verdicts import standing_of
from analysis.fitting.policy import fit_law
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast, with_predictions
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.report.figures.draw import draw_figures
from analysis.report.findings import gather_findings
from analysis.report.study import Study
from analysis.report.tables.state import seals_table
from analysis.report.write import render_report
from analysis.text.decisions import budgets_text, splits_text
from analysis.text.evaluation import backtest_text, standing_text
from analysis.text.forecasting import forecast_text
from analysis.text.numbers import loss_in_words
from scaling.errors import FitError
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table
from scaling.simulate import isoflop_runs, simulate_records

FEW_DRAWS = ForecastOptions(draws=200)

TRUTH = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
HELD_OUT = 1e23  # 4 decades beyond runs that span one
SHOWN_BY = ("text", "plots", "report")


@pytest.fixture(scope="module")
def short():
    """Runs over one decade, and a held-out one four decades beyond."""
    sizes = [0.35, 0.7, 1.4, 2.8]
    seen = isoflop_runs([1e18, 2e18, 4e18, 1e19], sizes, TRUTH)
    table = simulate_records(TRUTH, seen, relative_noise=0.003, seed=5).table.assign(held_out=False)
    hidden = simulate_records(TRUTH, isoflop_runs([HELD_OUT], [1.0], TRUTH)).table
    hidden = hidden.assign(held_out=True, run_id="hidden")
    return records_from_table(pd.concat([table, hidden], ignore_index=True), source="short.csv")


@pytest.fixture(scope="module")
def far(short):
    """One target that the runs support, and one that they do not."""
    return forecast(short, Targets.flops(2e19, 1e24), options=FEW_DRAWS)


@pytest.fixture(scope="module")
def findings(short):
    return gather_findings(short, bootstrap=20, with_backtest=False)


@pytest.fixture(scope="module")
def noise(short):
    """The same runs, with losses that know nothing of them."""
    drawn = np.random.default_rng(3).uniform(2, 4, len(short.table))
    falling = np.sort(drawn)[::-1]  # so that they pass for losses that fall, by chance
    losses = np.where(np.arange(len(drawn)) % 2, drawn, falling)
    table = short.table.assign(loss=losses, held_out=False).drop(
        columns="loss_stderr", errors="ignore"
    )
    return records_from_table(table, source="noise.csv")


def spellings(value):
    """A loss as any of the pages would write it."""
    return {f"{value:.4f}", f"{value:.3f}", loss_in_words(value), repr(value)}


def test_a_target_without_support_has_no_median_in_the_library(far):
    near, beyond = far.targets
    assert (near.supported, near.median) == (True, near.centre)
    assert (beyond.supported, beyond.median) == (False, None)
    for medians in far.pinned_floors.values():
        assert [median is None for median in medians] == [False, True]


def test_nor_is_a_budget_without_support_split(far):
    near, beyond = far.targets
    assert set(near.at) == {"params", "tokens", "train_flops"}
    assert beyond.at == {"train_flops": 1e24}
    assert far.to_frame()["params"].isna().tolist() == [False, True]


def test_nor_in_json_or_text_or_a_table_of_points(far):
    document = json.loads(far.to_json())
    assert [target["median"] is None for target in document["targets"]] == [False, True]
    assert all("centre" not in target for target in document["targets"])
    assert Forecast.from_json(far.to_json()).targets[1].median is None
    points = with_predictions(pd.DataFrame({"C": [2e19, 1e24]}), far)
    assert points["median"].isna().tolist() == [False, True]
    for text in (forecast_text(far), far.to_json(), points.to_csv()):
        assert not any(said in text for said in spellings(far.targets[1].centre))
        assert str(far.targets[0].median)[:5] in text  # but for rounding


def test_a_budget_or_a_split_without_support_has_none_either(short):
    budget = budget_for_loss(short, 1.76, options=FEW_DRAWS)
    assert (budget.supported, budget.median) == (False, None)
    assert json.loads(budget.to_json())["median"] is None
    assert "unsupported" in budgets_text([budget])
    for splits in (
        allocate(short, 1e24, options=FEW_DRAWS),
        allocate(short, 1e24, inference_tokens=1e9, options=FEW_DRAWS),
    ):
        (split,) = splits
        assert split.params is split.tokens is None
        assert splits_text(splits).count("unsupported") >= 3
        shown = json.loads(split.to_json())
        ends = [*shown["params_range"]["0.9"], *shown["tokens_range"]["0.9"]]
        assert all(end == float(f"{end:.0e}") for end in ends)


def test_losses_that_are_noise_have_no_median_split_budget_or_constant(noise):
    near = forecast(noise, Targets.flops(2e19), options=FEW_DRAWS)
    (target,) = near.targets
    assert target.median is None and first_of(LimitCode.UNSUPPORTED, near.limits)
    (split,) = allocate(noise, 2e19, options=FEW_DRAWS)
    assert split.params is split.tokens is None
    budget = budget_for_loss(noise, 2.5, options=FEW_DRAWS)
    assert budget.median is None and not budget.supported
    for law in ("power_law", "chinchilla"):
        with pytest.raises(FitError, match="noise"):
            fit_law(noise, law, bootstrap=0)


def test_a_backtest_of_noise_says_that_its_medians_are_none_to_read(noise, short):
    scored, right = (backtest(runs, options=FEW_DRAWS) for runs in (noise, short))
    limits = [first_of(LimitCode.UNSUPPORTED, made.limits) for made in (scored, right)]
    assert [limit is not None for limit in limits] == [True, False]
    assert "noise" in backtest_text(scored)


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_noise_shows_no_law_and_no_number(noise):
    found = gather_findings(noise, bootstrap=20, with_backtest=False)
    assert found.laws == () and first_of(LimitCode.NO_FIT, found.limits)
    assert all(target.median is None for target in found.forecast.targets)
    html = re.sub(r'src="data:[^"]*"', "", render_report(found))
    for factor in (10.0, 100.0):
        target = found.target(factor)
        ends = {loss_in_words(end) for end in target.intervals[0.9]}
        assert not any(said in html for said in spellings(target.centre) - ends)


def test_a_held_out_run_too_far_out_is_compared_with_an_interval_alone(short):
    check = check_held_out(short)
    (run,) = check.runs
    assert run.predicted is run.error_percent is None
    assert "unsupported, somewhere in" in check.line
    assert run.is_inside


def test_a_sealed_forecast_without_support_is_held_to_its_interval_alone(short, far):
    seal = seal_forecast(far, "bet", short, asked=("train_flops",))
    assert [target.median is None for target in seal.targets] == [False, True]
    run = {"params": 1e12, "tokens": 1e12, "train_flops": 1e24, "loss": 1.75, "run_id": "landed"}
    landed = records_from_table(pd.concat([short.table, pd.DataFrame([run])], ignore_index=True))
    (verdict,) = standing_of(replace(seal, targets=seal.targets[1:]), landed).verdicts
    assert verdict.predicted is verdict.error is None
    standing = standing_of(seal, landed)
    for text in (standing_text(standing), str(seals_table([standing]).rows), seal.to_json()):
        assert not any(said in text for said in spellings(far.targets[1].centre))
    assert "order of magnitude only" in standing_text(standing)


@pytest.mark.usefixtures("undrawn")
def test_no_page_of_the_report_or_of_a_study_gives_one(findings, tmp_path):
    targets = findings.forecast.targets
    beyond = [target for target in targets if not target.supported]
    assert beyond and len(beyond) < len(targets)
    html = re.sub(r'src="data:[^"]*"', "", render_report(findings))
    study = Study(findings=findings, report=tmp_path, sealed=None).to_text()
    shown = [f for f in (10.0, 100.0) if findings.target(f) in beyond]
    assert shown
    for factor in shown:
        centre = findings.target(factor).centre
        ends = {loss_in_words(end) for end in findings.target(factor).intervals[0.9]}
        for page in (html, study):
            assert not any(said in page for said in spellings(centre) - ends)


@pytest.mark.usefixtures("undrawn")
def test_the_caption_says_where_the_line_ends(findings):
    captions = {
        name: picture.caption for name, picture in draw_figures(findings).items() if name == "loss"
    }
    assert "Where the line ends, the runs support no number" in captions["loss"]
    near = [target for target in findings.forecast.targets if target.supported]
    supported = replace(findings, forecast=replace(findings.forecast, targets=tuple(near)))
    assert "support no number" not in draw_figures(supported)["loss"].caption


def test_what_people_see_is_made_of_medians_that_may_be_missing():
    root = Path(__file__).parents[2] / "analysis"
    pages = [page for name in SHOWN_BY for page in (root / name).rglob("*.py")]
    for page in pages:  # the centre and the draws have no support to look at
        assert not re.search(r"\.(centre|draws)\b(?! is (not )?None)", page.read_text()), page
