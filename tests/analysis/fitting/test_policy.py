"""Facts about the policy of fits: verb, report, dashboard and JSON give one answer."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.checklist import checklist_card
from analysis.fitting.fit import fit_as_asked
from analysis.fitting.policy import (
    ALL_RUNS,
    FLOOR_BELOW_ZERO,
    HELD_AT_ZERO,
    UNBEATEN_RUNS,
    fit_law,
    sizes_hint,
)
from analysis.fitting.result import Fit, FitStatus
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.targets import Targets
from analysis.report import gather_findings, render_report
from analysis.report.tables.forecasts import NOT_IDENTIFIED, constants_table
from analysis.text.numbers import number_in_words
from scaling.cli import main
from scaling.errors import FitError, ForecastError
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode
from scaling.records import read_records, records_from_table
from scaling.simulate import isoflop_runs, simulate_records
from tests.grids import grid_of_runs

CHINCHILLA = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
TABLES = Path(__file__).parents[2] / "data" / "tables"
DRAWS = 40  # resamples: enough to tell whether two intervals are one


def small_ladder() -> pd.DataFrame:
    """Four budgets of two sizes and two seeds, one decade: nothing tells a floor."""
    params = np.repeat([1e4, 2e4, 3e4, 6e4], 2)
    tokens = np.array([4e5, 2e5, 8e5, 4e5, 1.6e6, 8e5, 3.2e6, 1.6e6])
    law = Chinchilla(E=0.0, A=20.0, B=30.0, alpha=0.2, beta=0.2)
    noise = np.exp(0.004 * np.random.default_rng(3).standard_normal(16))
    table = pd.DataFrame({"params": np.tile(params, 2), "tokens": np.tile(tokens, 2)})
    loss = law.loss(table["params"], table["tokens"]) * noise
    return table.assign(train_flops=6 * table["params"] * table["tokens"], loss=loss)


def wide_ladder() -> pd.DataFrame:
    """49 runs over six decades: the floor is told."""
    sizes, tokens = np.meshgrid(np.geomspace(1e7, 1e10, 7), np.geomspace(1e8, 1e12, 7))
    runs = {"params": sizes.ravel(), "tokens": tokens.ravel()}
    table = simulate_records(CHINCHILLA, runs, relative_noise=0.003, seed=5).table
    return table.assign(train_flops=6 * table["params"] * table["tokens"])


def curve_with_floor() -> pd.DataFrame:
    """Loss by compute alone, with a floor that the runs tell."""
    law = PowerLaw(a=900.0, b=-0.15, c=1.8)
    return simulate_records(
        law, {"train_flops": np.geomspace(1e15, 1e22, 30)}, relative_noise=0.001, seed=1
    ).table


@pytest.fixture(scope="module", params=[small_ladder, wide_ladder, curve_with_floor])
def path(request, tmp_path_factory):
    target = tmp_path_factory.mktemp("policy") / "runs.csv"
    request.param().to_csv(target, index=False)
    return str(target)


@pytest.mark.usefixtures("undrawn")
def test_fit_report_and_json_give_the_same_constants(path, capsys, tmp_path):
    records = read_records(path)
    found = gather_findings(records, with_backtest=False, bootstrap=DRAWS)
    assert found.laws
    page = re.sub("<[^>]+>", " ", render_report(found))
    for fitted in found.laws:
        kept = tmp_path / "fit.json"
        options = ["--law", fitted.law.name, "--bootstrap", str(DRAWS), "-o", str(kept)]
        assert main(["fit", path, *options]) == 0
        text, document = capsys.readouterr().out, json.loads(kept.read_text())
        shown = document["constants"] | document["derived"]
        rows = constants_table(fitted).rows
        for (constant, value), row in zip(shown.items(), rows, strict=True):
            line = next(one for one in text.splitlines() if one.strip().startswith(constant + " "))
            if not value["identified"]:
                assert row[1] == NOT_IDENTIFIED
                assert "not identified" in line and not re.search(r"\d", line)
                continue
            assert f"{value['estimate']:.6g}" in line
            assert row[1] == number_in_words(value["estimate"])
            assert row[1] in page
            low, high = value["intervals"]["0.9"]
            assert f"[{low:.5g}, {high:.5g}]" in line
            assert row[2] == f"{number_in_words(low)} to {number_in_words(high)}"
        for choice in fitted.choices:
            assert choice.line in text
            assert document["choices"][choice.about]["chosen"] == choice.chosen


def test_intervals_say_which_constants_were_held_and_that_they_rest_on_that():
    records = records_from_table(small_ladder())
    floorless = fit_law(records, "chinchilla", bootstrap=20)
    held = fit_law(records, "chinchilla", fix={"E": 0.5}, bootstrap=20)
    free = fit_law(records_from_table(curve_with_floor()), "power_law", bootstrap=20)
    for fitted, said in ((floorless, "E held at 0,"), (held, "E held at 0.5,"), (free, "if it is")):
        assert said in fitted.intervals_of == fitted.to_dict()["intervals_of"]
        assert f"intervals are of {fitted.intervals_of}" in str(fitted)
        inside = {name: fitted.reach.ranges[name][0] for name in fitted.columns}
        assert fitted.predict(**inside).intervals_of == fitted.intervals_of
        assert (fitted.intervals_of in constants_table(fitted).note) == bool(fitted.fixed)


def test_a_floor_that_the_runs_do_not_tell_has_no_digits_in_any_document():
    table = small_ladder()
    records = records_from_table(table)
    fitted = fit_law(records, "chinchilla", bootstrap=20)
    document = fitted.to_dict()
    assert document["floor"] is None and document["floor_identified"] is False
    entry = document["constants"]["E"]
    assert (entry["estimate"], entry["stderr"], entry["intervals"]) == (None, None, {})
    assert entry["identified"] is False and "level" in entry["because"]
    assert document["choices"]["floor"]["chosen"] == HELD_AT_ZERO
    assert document["fixed"] == {}
    assert all(row["E"] is None for row in document["card"]["by Huber delta"].values())
    assert np.isnan(fitted.constants["E"].estimate)
    assert np.isfinite(fitted.constants["alpha"].estimate)


def test_constants_beside_a_floor_that_nobody_knows_are_no_numbers():
    flops = np.repeat(np.geomspace(1e17, 1e18, 4), 2)
    law = PowerLaw(a=900.0, b=-0.15, c=1.8)
    records = simulate_records(law, {"train_flops": flops}, relative_noise=0.005, seed=1)
    fit = fit_as_asked(records, objective="least_squares", bootstrap=20, card=False)
    assert not fit.floor_identified
    assert set(fit.unidentified) == {"a", "b", "c"}
    assert all(value["estimate"] is None for value in fit.to_dict()["constants"].values())
    assert np.isfinite(fit.law.loss(1e18))  # what lies inside the runs does not hang on the floor


def test_numbers_that_follow_from_an_untold_constant_are_untold():
    records = records_from_table(wide_ladder())
    fit = fit_as_asked(records, "chinchilla", bootstrap=0, card=False)
    assert fit.untold == {}
    only_floor = Fit.from_json(fit.to_json())
    object.__setattr__(only_floor, "unidentified", {"E": "why"})
    assert np.isfinite(only_floor.derived["optimal_params_exponent"].estimate)
    object.__setattr__(only_floor, "unidentified", {"alpha": "why"})
    assert np.isnan(only_floor.derived["optimal_params_exponent"].estimate)
    assert only_floor.untold["optimal_params_exponent"] == "why"


def test_the_raw_state_survives_and_the_shown_values_stay_empty():
    fit = fit_law(records_from_table(small_ladder()), "chinchilla", bootstrap=20)
    back = Fit.from_json(fit.to_json())
    assert back.to_json() == fit.to_json()
    assert back.choices == fit.choices and back.law.E == 0.0
    assert json.loads(back.to_json())["constants"]["E"]["estimate"] is None


def test_each_choice_can_be_made_by_hand():
    records = records_from_table(small_ladder())
    chosen = fit_law(records, bootstrap=0)
    assert [choice.chosen for choice in chosen.choices] == [
        UNBEATEN_RUNS,
        "least_squares",
        HELD_AT_ZERO,
    ]
    other = fit_law(records, frontier=False, objective="huber", fix={"c": 1.0}, bootstrap=0)
    assert [choice.chosen for choice in other.choices] == [ALL_RUNS, "huber", "set by hand"]
    assert other.n_runs == 16 and other.constants["c"].estimate == 1.0
    same = fit_as_asked(records, fix={"c": 1.0}, bootstrap=0, card=False)
    assert other.law == same.law


def test_a_floor_that_the_runs_tell_is_fitted():
    fit = fit_law(records_from_table(wide_ladder()), "chinchilla", bootstrap=0)
    assert fit.status is FitStatus.CONVERGED
    assert fit.choices[-1].chosen == "fitted"
    assert fit.to_dict()["floor"] == fit.law.E


RISING = np.geomspace(1e15, 1e21, 8)


@pytest.mark.parametrize("law", ["power_law", "chinchilla"])
@pytest.mark.parametrize("loss", [2 + 0.1 * np.log10(RISING), np.full(8, 2.5)])
def test_losses_that_do_not_fall_end_a_fit_as_they_end_a_forecast(law, loss):
    params = np.geomspace(1e5, 1e8, 8)
    table = pd.DataFrame({"train_flops": RISING, "params": params, "loss": loss})
    records = records_from_table(table.assign(tokens=RISING / 6 / params))
    with pytest.raises(FitError, match="the loss does not fall with ") as fitted:
        fit_law(records, law)
    with pytest.raises(ForecastError) as forecasted:
        forecast(records, Targets.flops(1e22))
    assert str(fitted.value).split("; ")[1] == str(forecasted.value).split("; ")[1]


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"c": (-10.0, None)}, r"c of power_law cannot be below zero; bound it as c=0:,"),
        ({"c": (-10.0, -1.0)}, "cannot be below zero; bound it as c=0:,"),
        ({"a": (-3.0, 5.0)}, "a of power_law cannot be below zero; bound it as a=0:5"),
        ({"c": (50.0, 90.0)}, "a floor lies below it: bound it lower"),
        ({"b": (-99.0, -50.0)}, "b of power_law is searched from"),
    ],
)
def test_a_bound_that_the_law_cannot_hold_is_refused_in_one_line(bound, said):
    x = np.geomspace(1e15, 1e21, 8)
    table = pd.DataFrame({"train_flops": x, "loss": 1.5 + 900 * x**-0.2})
    with pytest.raises(FitError, match=said) as refused:
        fit_law(records_from_table(table), bounds=bound)
    assert "\n" not in str(refused.value)


def test_a_law_of_compute_on_many_sizes_a_budget_comes_with_a_hint():
    law = Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
    many = isoflop_runs([1e17, 1e18, 1e19], [0.3, 1.0, 3.0, 9.0], law)
    assert "4 sizes a budget" in sizes_hint(simulate_records(law, many))
    few = isoflop_runs([1e17, 1e18, 1e19, 1e20], [1.0], law)
    assert sizes_hint(simulate_records(law, few)) is None


def test_a_fit_without_its_card_has_the_same_numbers():
    plain, carded = (fit_law(small_ladder(), bootstrap=DRAWS, card=card) for card in (False, True))
    assert plain.card is None and carded.card is not None
    assert plain.to_dict() | {"card": carded.card} == carded.to_dict()


def test_what_a_fit_leaves_out_is_a_limit_that_its_text_shows():
    flops = np.geomspace(1e18, 1e21, 8)
    table = pd.DataFrame({"train_flops": flops, "loss": 2 + 40 * flops**-0.1})
    table.loc[3, "loss"] = 9.0
    fit = fit_law(table.assign(status=["finished"] * 7 + ["diverged"]), bootstrap=0, card=False)
    (limit,) = (limit for limit in fit.limits if limit.code is LimitCode.LEFT_OUT)
    assert limit.text == "left out: diverged (1), beaten by a run of no more compute (1)"
    assert "left out: diverged (1)" in repr(fit) and limit.text in fit.to_text()


def test_every_answer_from_one_table_names_the_same_hash(ladder):
    """That of the table, not of the runs that an answer used."""
    status = ["diverged", *["finished"] * (len(ladder) - 1)]
    some = replace(ladder, table=ladder.table.assign(status=status))
    fits = [fit_law(some, law, bootstrap=0, card=False) for law in (PowerLaw, Chinchilla)]
    answered = forecast(some, Targets.flops(1e22))
    assert {one.data_hash for one in (*fits, answered)} == {some.data_hash}
    assert some.data_hash != ladder.data_hash


def test_losses_that_fall_faster_than_a_power_law_are_said_to():
    records = read_records(TABLES / "negative_floor.csv", columns={"loss": "y"})
    fit = fit_law(records, "power_law", x="r", bootstrap=0, card=False)
    assert LimitCode.FALLS_FASTER in [limit.code for limit in fit.limits]
    assert LimitCode.FLOOR_HELD not in [limit.code for limit in fit.limits]
    assert "a c below zero would fit better" in fit.to_text()
    assert [c.because for c in fit.choices if c.about == "floor"] == [FLOOR_BELOW_ZERO]


@pytest.mark.parametrize(("floor", "noise"), [(0.0, 0.0), (0.0, 0.01), (0.8, 0.01), (0.0, 0.1)])
def test_a_power_law_does_not_fall_faster_than_itself(floor, noise):
    """Of tables of a floor of zero one in two hundred is said to; these seeds are others."""
    x, draws = np.geomspace(1e15, 1e20, 14), np.random.default_rng(5).standard_normal(14)
    loss = (50 * x**-0.1 + floor) * np.exp(noise * draws)
    fit = fit_law(pd.DataFrame({"C": x, "loss": loss}), "power_law", bootstrap=0, card=False)
    assert LimitCode.FALLS_FASTER not in [limit.code for limit in fit.limits]


@pytest.mark.parametrize("law", ["chinchilla", "skaling"])
def test_losses_without_any_noise_keep_their_constants_and_have_no_intervals(law):
    """Refits of them all agree, which is no sign that a constant is not told."""
    table = grid_of_runs(5, noise=0)
    fit = fit_law(records_from_table(table), law, bootstrap=50)
    by_hand = fit_law(records_from_table(table), law, bootstrap=0)
    assert fit.law.constants()["E"] == pytest.approx(1.8, rel=1e-6)
    assert fit.law.constants() == by_hand.law.constants()
    assert fit.draws is None
    with pytest.raises(FitError, match="its limits say why"):
        fit.interval(lambda law: law.loss(1e9, 1e10))
    assert "bootstrap refits by cluster agree)" in str(checklist_card(fit, fit.records).entries)
    assert any("passes through all 25 runs" in limit.text for limit in fit.limits)
