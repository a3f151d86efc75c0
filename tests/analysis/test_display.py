"""Facts about results for people: what they print, tabulate, predict and draw."""

import html
import json
import re
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import analysis
from analysis import display
from analysis.fitting.result import Fit
from analysis.studies.contexts import contexts_in_the_plane
from benchmarks.simulated.recipe_checks import arms_around
from benchmarks.simulated.tables import two_powers
from scaling import records_from
from scaling.errors import ConfigError, FitError, ForecastError
from scaling.limits import LimitCode

BOOTSTRAP = 40


@pytest.fixture(scope="module")
def fit(ladder):
    return analysis.fit_law(ladder, "chinchilla", bootstrap=BOOTSTRAP)


@pytest.fixture(scope="module")
def results(fit, ladder):
    """One of each result that is made without a forecast."""
    return {
        "Fit": fit,
        "LawPrediction": fit.predict(train_flops=[1e19, 1e25]),
        "EnvelopeFit": analysis.fit_envelope(ladder, bootstrap=BOOTSTRAP),
        "IsoflopFit": analysis.fit_isoflop(ladder, bootstrap=BOOTSTRAP),
        "CrossCheck": analysis.cross_checks(ladder, bootstrap=BOOTSTRAP)[0],
    }


def subclasses(kind):
    return {kind, *(below for one in kind.__subclasses__() for below in subclasses(one))}


def test_every_result_has_a_text_and_every_drawn_one_a_figure():
    for name in analysis.__all__:
        getattr(analysis, name)  # so that all of them are known
    kinds = subclasses(display.Result) - {display.Result, display.DrawnResult}
    drawn = subclasses(display.DrawnResult) - {display.DrawnResult}
    assert {kind.__name__ for kind in kinds} == set(display.TEXTS)
    assert {kind.__name__ for kind in drawn} == set(display.FIGURES)
    assert set(display.FIGURE_FILES) < set(display.FIGURES)
    for place in (
        *display.TEXTS.values(),
        *display.FIGURES.values(),
        *display.FIGURE_FILES.values(),
    ):
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(module), name))


def test_a_result_prints_the_same_in_a_terminal_and_in_a_notebook(results, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, result in results.items():
        shown, page = repr(result), result._repr_html_()
        assert max(map(len, shown.splitlines())) <= 80, name
        assert len(shown) < 3000, name
        cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
        assert all(cell.split()[0] in shown for cell in cells if cell), name
        assert str(result).splitlines()[0] == result.to_text().splitlines()[0]


def test_a_frame_has_a_row_per_constant_with_its_interval_and_limits(fit):
    frame = fit.to_frame((0.5, 0.9))
    assert list(frame.index) == [*fit.constants, *fit.derived]
    assert list(frame.columns) == [
        *("estimate", "stderr", "low_50", "high_50", "low_90", "high_90"),
        *("identified", "limits"),
    ]
    assert (frame["low_90"] <= frame["estimate"]).all()
    hidden = replace(fit, unidentified={"E": "the runs do not say"})
    assert hidden.to_frame().loc["E", "limits"] == LimitCode.CONFOUNDED
    assert np.isnan(hidden.to_frame().loc["E", "estimate"])


def test_an_isoflop_fit_has_a_row_per_budget(results):
    frame = results["IsoflopFit"].to_frame()
    assert len(frame) == len(results["IsoflopFit"].profiles)
    assert (frame["low_90"] < frame["optimal_params"]).all()
    assert frame["limits"].tolist() == [""] * len(frame)


def test_every_result_is_a_frame_too(results):
    for kind in subclasses(display.Result) - {display.Result, display.DrawnResult}:
        assert "to_frame" in dir(kind), kind
    envelope, check = results["EnvelopeFit"], results["CrossCheck"]
    assert envelope.to_frame()["params"].tolist() == list(envelope.params)
    (row,) = check.to_frame().to_dict("records")
    assert (row["exponent"], row["low"], row["high"]) == (check.exponent, *check.interval)


def test_covariance_and_correlation_are_those_of_the_bootstrap_draws(fit):
    names = list(fit.constants)
    drawn = np.array([fit.draws.constants()[name] for name in names])
    assert np.allclose(fit.covariance().loc[names, names], np.cov(drawn))
    assert np.allclose(fit.correlation().loc[names, names], np.corrcoef(drawn))
    with pytest.raises(FitError, match="tell no intervals"):
        replace(fit, draws=None).covariance()


def test_a_prediction_is_the_law_where_the_runs_carry_it_and_no_number_beyond(fit):
    inside = fit.predict(params=1e9, tokens=2e10)
    assert inside.loss == fit.law.loss(1e9, 2e10)
    assert inside.interval == fit.interval(lambda law: law.loss(1e9, 2e10))
    both = fit.predict(train_flops=[1e19, 1e25])
    assert np.isfinite(both.loss).tolist() == [True, False]
    assert np.isfinite(both.interval.low).tolist() == [True, False]
    assert [[limit.code for limit in point] for point in both.limits] == [
        [],
        [LimitCode.UNSUPPORTED],
    ]
    frame = both.to_frame()
    assert frame["limits"].tolist() == ["", "unsupported"] and "low_90" in frame
    grid = fit.predict(params=np.full((2, 3), 1e9), tokens=2e10)
    assert grid.loss.shape == grid.interval.high.shape == (2, 3)


def test_a_prediction_beyond_the_runs_needs_every_constant_told(fit):
    """A floor that nobody knows hardly moves the loss among the runs, and moves it beyond them."""
    hidden = replace(fit, unidentified={"E": "the runs do not say"})
    within, beyond = hidden.predict(train_flops=1e19), hidden.predict(train_flops=3e20)
    assert within.loss == fit.predict(train_flops=1e19).loss
    assert np.isnan(beyond.loss) and not np.isnan(fit.predict(train_flops=3e20).loss)
    assert "which these runs do not tell" in beyond.limits[0][0].text


def test_a_prediction_reads_symbols_and_the_spellings_of_tables(fit):
    plain = fit.predict(params=1e9, tokens=2e10)
    assert fit.predict(N=1e9, D=2e10).loss == fit.predict(model_size=1e9, D=2e10).loss == plain.loss
    assert fit.predict(C=1e20).loss == fit.predict(train_flops=1e20).loss


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({}, "chinchilla reads params and tokens, or train_flops alone; got nothing"),
        ({"params": 1e9}, "got params"),
        ({"params": -1e9, "tokens": 1e10}, "params is -1e\\+09; give finite values above zero"),
        ({"params": [1e9, 2e9], "tokens": [1e9, 2e9, 3e9]}, "2 of params, 3 of tokens"),
        ({"train_flops": "much"}, "train_flops holds something that is not a number"),
        ({"params": 1e9, "N": 1e9}, "params and N name one input twice"),
    ],
)
def test_a_prediction_of_nothing_sensible_is_refused_in_one_line(fit, asked, answer):
    with pytest.raises(FitError, match=answer):
        fit.predict(**asked)


def test_a_fit_read_from_a_file_predicts_the_same_and_has_nothing_to_draw(fit):
    back = Fit.from_json(fit.to_json())
    assert back.predict(train_flops=3e20).loss == fit.predict(train_flops=3e20).loss
    assert repr(back) == repr(fit)
    pd.testing.assert_frame_equal(back.to_frame(), fit.to_frame())
    with pytest.raises(FitError, match="read from a file holds no runs to draw"):
        back.plot()


def test_results_draw_themselves_into_the_axes_that_they_are_given(results, ladder):
    curve = analysis.fit_law(ladder, bootstrap=BOOTSTRAP)
    figure, (left, middle, right) = plt.subplots(1, 3)
    assert results["Fit"].plot(left) is left
    assert results["IsoflopFit"].plot(ax=middle) is middle
    assert curve.plot(right) is right
    assert left.get_ylabel() == right.get_ylabel() == middle.get_ylabel()
    plt.close(figure)


@pytest.mark.parametrize("name", ["Forecast", "Backtest", "ArmComparison"])
def test_results_write_their_figures(answers, name, tmp_path):
    answers[name].save_figure(tmp_path / "new" / "figure.svg")
    assert (tmp_path / "new" / "figure.svg").read_text().startswith("<?xml")
    with pytest.raises(ConfigError, match="no figure of that kind; end it in .svg, .png, .pdf"):
        answers[name].save_figure(tmp_path / "figure.gif")


@pytest.fixture(scope="module")
def answers(ladder):
    """One of each result that a forecast is in: one target supported, one far beyond."""
    few = analysis.ForecastOptions(draws=200, confidence_levels=(0.5, 0.9))
    made = analysis.forecast(ladder, analysis.Targets.flops(3e20, 1e25), options=few)
    return {
        "Forecast": made,
        "Backtest": analysis.backtest(ladder, options=few),
        "HeldOutCheck": analysis.check_held_out(ladder, options=few),
        "Allocation": analysis.allocate(ladder, [3e20, 1e25], options=few),
        "ArmComparison": analysis.compare(ladder, ladder, 3e20, 1e25, options=few),
        "PublishedFindings": analysis.published_findings(ladder),
        "Provisional": analysis.provisional(ladder, 1e21, options=few),
        "BudgetPlan": analysis.plan_budgets(ladder, [3e20, 1e25], options=few),
        "BudgetForLoss": analysis.budget_for_loss(ladder, 2.2, options=few),
        "SealStanding": analysis.standing_of(analysis.seal_forecast(made, "bet", ladder), ladder),
    }


def test_every_result_is_one_json_document_without_what_no_page_shows(results, answers, ladder):
    checked = ladder.table.assign(clipped_share=0.01, spikes=0, run_id=ladder.table.index)
    made = {**results, **answers, "LadderHealth": analysis.ladder_health(checked)}
    made["OptimalSplit"] = answers["Allocation"][0]
    rising = ladder.table.assign(accuracy=1 / ladder.table["loss"])
    few = analysis.ForecastOptions(draws=200)
    made["MetricForecast"] = analysis.forecast_metric(
        replace(ladder, table=rising), "accuracy", analysis.Targets.flops(3e20), options=few
    )
    made["IrreducibleLoss"] = analysis.irreducible_loss(ladder)
    made["ImplicitBias"] = analysis.study_implicit_bias(contexts_in_the_plane(), steps=2)
    dearest = ladder.usable().table["train_flops"].idxmax()
    row, part = ladder.table.loc[dearest], replace(ladder, table=ladder.table.drop(dearest))
    offer = [analysis.RunOnOffer(**row[["params", "tokens", "train_flops"]].astype(float))]
    made["NextRuns"] = analysis.next_runs(part, 1e22, 1e21, offer=offer, least_gain=1e-6)
    made["ProposalCheck"] = analysis.check_proposal(made["NextRuns"], ladder)
    arms = arms_around(np.zeros(4), 0.003, np.random.default_rng(0))
    made["TunedRecipe"] = analysis.tuned_recipe([arms], rungs=["width 16"])
    few_runs = two_powers().assign(loss=np.linspace(3, 2, 42))
    made["Discovery"] = analysis.discover(few_runs.head(12), ["seen"])
    halves = np.where(np.arange(len(ladder)) % 2, "odd", "even")
    made["GroupedFit"] = analysis.fit_groups(
        replace(ladder, table=ladder.table.assign(half=halves)),
        "chinchilla",
        by="half",
        bootstrap=20,
    )
    asked = pd.DataFrame({"params": [1e9], "tokens": [2e10], "half": ["odd"]})
    made["GroupedPrediction"] = analysis.predict_groups(made["GroupedFit"], asked)
    of_half = replace(ladder, table=ladder.table.assign(half=halves))
    made["GroupedBacktest"] = analysis.backtest_groups(of_half, by="half")
    points = two_powers().assign(cost=1.0)
    made["RunsToBuy"] = analysis.runs_to_buy(
        two_powers(), offer=points, at=points, budget=2.0, law="E + A*seen^-a + B*width_total^-b"
    )
    assert set(made) == set(display.TEXTS)
    for name, result in made.items():
        document = json.loads(result.to_json(), parse_constant=pytest.fail)
        for one in document if isinstance(document, list) else [document]:
            limited = "fit_limits" if name == "LawPrediction" else "approach"
            assert {"limits", "notes"} <= set(one) or limited in one, name
            assert "records" not in one and "draws" not in one, name
    assert json.loads(answers["Allocation"].to_json())[1]["params"] is None
    assert json.loads(answers["HeldOutCheck"].to_json())["forecast"]["targets"][0]["median"]
    for kind, answer in ((analysis.Forecast, "Forecast"), (analysis.Backtest, "Backtest")):
        assert kind.from_json(answers[answer].to_json()).to_json() == answers[answer].to_json()


def test_a_result_says_how_its_runs_were_read_where_it_is_printed_and_in_a_notebook(ladder):
    table = ladder.table.assign(loss=ladder.table["loss"].astype(str)).rename(
        columns={"loss": "val_loss"}
    )
    table.loc[table.index[0], "val_loss"] = "n/a"
    few = analysis.ForecastOptions(draws=200)
    told = 'columns: loss = "val_loss"'
    runs = records_from(table)
    fit = analysis.fit_law(runs, "chinchilla", bootstrap=0, card=False)
    made = [fit, fit.predict(C=1e19), analysis.fit_isoflop(runs, bootstrap=BOOTSTRAP)]
    made += [analysis.fit_envelope(runs, bootstrap=BOOTSTRAP)]
    made += [
        *analysis.cross_checks(runs, bootstrap=BOOTSTRAP),
        analysis.backtest(runs, options=few),
    ]
    made += [analysis.forecast(runs, analysis.Targets.flops(3e20), options=few)]
    made += [analysis.allocate(runs, 3e20, options=few)]
    made += [made[-1][0], analysis.budget_for_loss(runs, 2.5, options=few)]
    for result in made:
        assert told in str(result) and told in html.unescape(result._repr_html_()), type(result)
        assert {"code": "understood", "text": told} in (
            json.loads(result.to_json())[0]["notes"]
            if isinstance(result, analysis.Allocation)
            else json.loads(result.to_json())["notes"]
        )
    assert repr(Fit.from_json(fit.to_json())) == repr(fit)
    for told_once in (fit, made[-4], made[-2]):
        assert str(told_once).count("left out: ") == 1


def test_answers_of_a_forecast_print_and_tabulate_the_same(answers, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, answer in answers.items():
        shown, page = repr(answer), answer._repr_html_()
        assert max(map(len, shown.splitlines())) <= 80, name
        assert all(cell.split()[0] in shown for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)), (
            name
        )
        assert page.count("<table") == (0 if name == "SealStanding" else page.count("</table>"))
        assert len(answer.to_frame()) == {"Backtest": 0, "SealStanding": 0}.get(name, 1) or (
            len(answer.to_frame()) > 1
        )


def test_a_frame_gives_no_median_that_the_text_refuses(answers):
    frame = answers["Forecast"].to_frame()
    assert frame["median"].isna().tolist() == [False, True]
    assert frame["limits"].tolist() == ["", "unsupported"]
    assert {"low_50", "high_50", "low_90", "high_90", "decades_beyond"} < set(frame)
    splits = answers["Allocation"].to_frame()
    assert splits["params"].isna().tolist() == splits["tokens"].isna().tolist() == [False, True]
    assert splits["params_low_90"][0] < splits["params"][0] < splits["params_high_90"][0]
    assert [split.supported for split in answers["Allocation"]] == [True, False]


def test_a_backtest_has_a_row_per_hidden_run_with_its_error(answers):
    frame = answers["Backtest"].to_frame()
    assert len(frame) == len(answers["Backtest"].predictions)
    assert np.allclose(frame["error_percent"], 100 * (frame.predicted / frame.measured - 1))


def test_answers_of_a_forecast_draw_themselves(answers):
    figure, axes = plt.subplots(1, 3)
    for name, ax in zip(("Forecast", "Backtest", "HeldOutCheck"), axes, strict=True):
        assert answers[name].plot(ax) is ax
    shown = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert "order of magnitude only, 90% interval" in shown
    plt.close(figure)
    with pytest.raises(ForecastError, match="read from a file holds no runs to draw"):
        analysis.Forecast.from_json(answers["Forecast"].to_json()).plot()


def test_targets_take_numbers_lists_arrays_and_columns_of_a_table():
    along = [analysis.Targets.flops(1e21, 1e22), analysis.Targets.flops([1e21, 1e22])]
    along += [analysis.Targets.flops(pd.Series([1e21, 1e22])), analysis.Targets.flops(1e21, [1e22])]
    assert all(t.columns["train_flops"].tolist() == [1e21, 1e22] for t in along)
    runs = analysis.Targets.runs(7e9, np.array([1e12, 2e12]))
    assert runs.columns["params"].tolist() == [7e9, 7e9]
    for refused in (lambda: analysis.Targets.runs([1, 2], [1, 2, 3]), analysis.Targets.flops):
        with pytest.raises(ForecastError, match="as many of each column"):
            refused()
    with pytest.raises(ForecastError, match="train_flops holds something that is not a number"):
        analysis.Targets.flops("much")
    assert analysis.Targets.runs("7B", "1.4e12").columns["params"].tolist() == [7e9]
    for multiple in ("10x", "10 \u00d7", ["10x"]):
        with pytest.raises(ForecastError, match=r"is 10 \* runs.column\(\"train_flops\"\).max"):
            analysis.Targets.flops(multiple)
