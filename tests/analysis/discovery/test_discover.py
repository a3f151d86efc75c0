"""Facts about the search: what it finds, what it refuses to claim, and that it can be stopped."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import discover, fit_law, with_found_predictions
from analysis.discovery import hidden_runs, reading, search
from analysis.discovery.dependence import LEVEL, chance_of_no_law
from analysis.discovery.forms.table import Table, roles_of
from benchmarks.simulated.tables import (
    of_domains,
    of_experts,
    of_learning_rates,
    of_repeats,
    two_powers,
)
from scaling.errors import FitError, RecordError
from scaling.limits import LimitCode
from scaling.records import records_from_table

INPUTS = ["width_total", "seen"]
BEYOND = pd.DataFrame({"width_total": [3e9, 3e9], "seen": [3e10, 1e11]})
TRUE = 1.7 + 400 * BEYOND["width_total"] ** -0.34 + 410 * BEYOND["seen"] ** -0.28


@pytest.fixture
def shallow(monkeypatch):
    monkeypatch.setattr(search, "DEPTH", 1)
    monkeypatch.setattr(search, "WIDTH", 1)


def test_the_forms_predict_beyond_the_runs_and_their_intervals_hold_the_truth(shallow):
    found = discover(two_powers(), INPUTS, at=BEYOND)
    assert found.claimed and set(found.directions) == set(INPUTS)
    table = with_found_predictions(BEYOND, found)
    # a run scatters by 0.2%, and the law is extrapolated three times as far as it was seen
    assert table["median"].to_numpy() == pytest.approx(TRUE.to_numpy(), rel=0.01)
    assert ((table["low_90"] < TRUE) & (table["high_90"] > TRUE)).all()


def test_the_same_seed_gives_the_same_answer(shallow):
    first, again = (discover(two_powers(), INPUTS, seed=3).to_json() for _ in range(2))
    assert first == again
    assert json.loads(first)["forms"][0]["formula"].startswith("E + ")


def test_a_found_form_is_a_formula_law_that_fits_the_runs(shallow):
    runs = two_powers()
    form = min(discover(runs, INPUTS).forms, key=lambda one: one.constants_count)
    law = form.law().on(records_from_table(runs))
    fitted = fit_law(records_from_table(runs), law, bootstrap=0)
    # the fit by Huber's objective and that of the search weigh runs alike but for outliers
    assert np.std(fitted.log_residuals) == pytest.approx(form.fit_error, rel=0.25)


def test_constants_of_a_found_form_are_called_otherwise_than_the_columns(shallow):
    runs = two_powers().rename(columns={"width_total": "E", "seen": "alpha1"}).assign(A1=1.0)
    found = discover(runs, ["E", "alpha1"])
    for form in found.forms:
        names = set(form.constants[""])
        assert "E_" in names and not names & {"E", "alpha1", "A1"}
        law = form.law().on(records_from_table(runs))
        assert set(law.inputs) <= {"E", "alpha1"} and set(law.constant_names()) == names


def test_of_a_large_table_some_runs_of_each_group_and_the_ends_are_searched(shallow, monkeypatch):
    monkeypatch.setattr(reading, "MOST_RUNS", 200)
    monkeypatch.setattr(reading, "_ENDS", 3)
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 9, 3000), 10 ** rng.uniform(9, 11, 3000)
    loss = (1.7 + 400 * n**-0.34 + 410 * d**-0.28) * np.exp(0.002 * rng.normal(size=3000))
    large = pd.DataFrame({"width_total": n, "seen": d, "loss": loss})
    large["kind"] = np.where(np.arange(3000) < 60, "rare", "usual")
    read = reading.read_table(records_from_table(large, source="runs"), INPUTS, "kind")
    assert np.bincount(read.table.group).tolist() == [60, 100]
    usual = read.table.inputs[read.table.group == 1]
    assert usual.max(axis=0) == pytest.approx(large[INPUTS][60:].max().to_numpy())
    assert usual.min(axis=0) == pytest.approx(large[INPUTS][60:].min().to_numpy())
    np.testing.assert_array_equal(read.records.column("loss"), read.table.y)
    assert LimitCode.THINNED in [one.code for one in read.limits]


def test_runs_of_another_learning_rate_than_the_best_are_no_noise(shallow):
    runs = two_powers().rename(columns={"width_total": "params", "seen": "tokens"})
    parts = [
        runs.assign(learning_rate=rate, loss=runs["loss"] + 0.1 * np.log(rate / 2e-3) ** 2)
        for rate in (1e-3, 2e-3, 4e-3)
    ]
    swept = pd.concat(parts, ignore_index=True)
    best = discover(runs, ["params", "tokens"])
    found = discover(swept, ["params", "tokens"])
    assert found.forms[0].formula == best.forms[0].formula
    assert found.forms[0].fit_error == pytest.approx(best.forms[0].fit_error)
    assert any("another learning_rate is better" in limit.text for limit in found.limits)
    named = reading.read_table(
        records_from_table(swept), ["params", "tokens", "learning_rate"], None
    )
    assert len(named.table.y) == 3 * len(runs)
    with pytest.raises(FitError, match="another learning_rate is better"):
        few = [run + 42 * rate for run in (0, 1, 2, 7, 8, 9, 14) for rate in range(3)]
        discover(swept.iloc[few], ["params", "tokens"])


def test_rows_of_one_run_are_told_to_be_no_runs_of_their_own(shallow):
    runs = two_powers().rename(columns={"width_total": "params", "seen": "tokens"})
    of_one_size = runs.assign(trunk=[f"run {n:g}" for n in runs["params"]])
    found = discover(of_one_size, ["params", "tokens"])
    said = [one.text for one in found.limits if one.code is LimitCode.FEW_RUNS]
    assert any("42 rows are of 7 runs" in text for text in said)
    apart = discover(runs, ["params", "tokens"])
    assert not [one for one in apart.limits if one.code is LimitCode.FEW_RUNS]


def test_groups_have_constants_of_their_own_and_mixtures_are_understood(shallow):
    found = discover(of_domains(), ["web", "code", "books"], by="size")
    assert found.claimed and found.groups == ("large", "small")
    assert set(found.forms[0].constants) == {"large", "small"}
    assert any("exp(" in form.formula for form in found.forms)
    assert any(limit.code is LimitCode.INTERPOLATED for limit in found.limits)


def test_a_target_below_zero_is_worked_on_itself_and_that_is_said(shallow):
    runs = two_powers()
    found = discover(runs.assign(loss=runs["loss"] - 4), INPUTS)
    assert found.errors_are != "relative"
    (said,) = (one.text for one in found.limits if "at or below zero" in one.text)
    assert f"({(runs['loss'] <= 4).sum()} of 42 runs, " in said and " in row " in said


def test_no_law_is_claimed_of_permuted_targets_in_nineteen_of_twenty():
    runs = two_powers()
    x = runs[INPUTS].to_numpy()
    claims = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = rng.permutation(runs["loss"].to_numpy())
        table = Table(tuple(INPUTS), x, y, np.zeros(len(y), int), roles_of(x), True)
        claims += chance_of_no_law(table, rng) <= LEVEL
    assert claims <= 2  # of 40: one in twenty


def test_where_no_law_is_claimed_no_number_is_shown():
    runs = two_powers()
    noise = np.random.default_rng(5).normal(3, 0.1, len(runs))
    found = discover(runs.assign(loss=noise), INPUTS, at=BEYOND)
    assert not found.claimed and not found.forms and not found.predictions
    assert "no law is claimed" in str(found)
    with pytest.raises(FitError, match="no law is claimed"):
        with_found_predictions(BEYOND, found)


def test_an_interrupt_keeps_what_was_found():
    def interrupted(what, done, most):
        if what == "searching" and done > 12:
            raise KeyboardInterrupt

    found = discover(two_powers(), INPUTS, on_progress=interrupted)
    assert found.interrupted and found.forms
    assert any("interrupted" in limit.text for limit in found.limits)


@pytest.mark.parametrize(
    ("change", "options", "line"),
    [
        ({"seen": -1.0}, {}, "seen is -1 in row 2"),
        ({"seen": 5.0}, {}, "seen never varies"),
        ({}, {"inputs": ["width_total", "width_total"]}, "name a column twice"),
        ({}, {"inputs": ["loss"]}, "the loss is what is sought"),
        ({}, {"along": ["wide"]}, "--along wide is none of the inputs"),
        ({}, {"at": pd.DataFrame({"seen": [1e9]})}, 'points: no column "width_total"'),
        ({}, {"at": BEYOND.assign(seen=["x", "1e9"])}, 'seen is "x" in row 2'),
    ],
)
def test_bad_input_is_one_line(change, options, line):
    runs = two_powers().assign(**change)
    inputs = options.pop("inputs", INPUTS)
    with pytest.raises(FitError, match=line) as caught:
        discover(runs, inputs, **options)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_missing_and_too_few_runs_are_named():
    with pytest.raises(RecordError, match='no column "colour"'):
        discover(two_powers(), ["colour"])
    with pytest.raises(FitError, match="5 runs, and a search in 2 inputs needs 8"):
        discover(two_powers().head(5).assign(seen=[1, 2, 3, 4, 5]), INPUTS)


def test_proportions_that_do_not_add_up_are_named_with_their_row():
    runs = of_domains()
    runs.loc[4, "web"] = 0.9
    with pytest.raises(FitError, match=r"proportions \(web, code, books\) add up to .* in row 6"):
        discover(runs, ["web", "code", "books"], by="size")


def test_an_input_with_zeros_is_shifted_and_that_is_said(shallow):
    runs = two_powers()
    runs["seen"] = runs["seen"] - runs["seen"].min()
    found = discover(runs, INPUTS)
    assert any("seen has zeros" in limit.text for limit in found.limits)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["experts", "repeats", "learning rate and batch"])
def test_the_grammar_holds_published_laws_of_other_variables(law):
    if law == "experts":
        seen = of_experts([1.5e7, 5e7, 1.3e8, 4e8], [1, 2, 4, 8, 16, 32, 64], 0.002, 0)
        asked = of_experts([1e9], [1, 8, 64, 128], 0.0, 0)
        inputs = ["dense_size", "num_experts"]
    elif law == "repeats":
        runs = of_repeats(0.002, 0)
        inputs = ["distinct", "model", "trained"]
        is_far = runs["trained"] > 4e10
        seen, asked = runs[~is_far], of_repeats(0.0, 0)[is_far]
    else:
        runs = of_learning_rates(0.002, 0)
        inputs = ["model", "trained", "rate", "batch"]
        is_far = (runs["model"] == 6e8) & (runs["trained"] > 1e10)
        seen, asked = runs[~is_far], of_learning_rates(0.0, 0)[is_far]
    found = discover(seen, inputs, at=asked)
    median = np.array([one.median for one in found.predictions], dtype=float)
    error = np.mean((median - asked["loss"]) ** 2) / np.var(asked["loss"])
    assert 1 - error > 0.9  # R2 of points that lie beyond the runs


def test_a_written_law_of_any_columns_is_backtested_and_predicts_with_intervals():
    law = "E + A*width_total^-alpha + B*seen^-beta"
    found = discover(two_powers(), law=law, at=BEYOND)
    (form,) = found.forms
    assert form.formula == law and found.winner == law
    # three standard errors of a run of 0.2%, in units of the constants' own intervals
    for name, truth in (("E", 1.7), ("alpha", 0.34), ("beta", 0.28)):
        low, high = form.constants[""][name].interval
        assert low < truth < high
    table = with_found_predictions(BEYOND, found)
    assert table["median"].to_numpy() == pytest.approx(TRUE.to_numpy(), rel=0.01)
    assert ((table["low_90"] < TRUE) & (table["high_90"] > TRUE)).all()


def test_a_written_law_has_constants_of_each_group_or_shared_ones():
    runs = pd.concat([two_powers().assign(data=d) for d in ("web", "code")], ignore_index=True)
    runs.loc[runs["data"] == "code", "loss"] -= 0.5
    found = discover(runs, law="E + A*width_total^-alpha + B*seen^-beta", by="data")
    assert {form.shares_exponents for form in found.forms} == {True, False}
    floors = {label: own["E"].value for label, own in found.forms[0].constants.items()}
    assert floors["web"] - floors["code"] == pytest.approx(0.5, abs=0.1)  # 0.2% of 3 nats


def test_a_hidden_run_is_predicted_from_the_runs_that_were_kept_alone():
    runs, law = two_powers(), "E + A*width_total^-a + B*seen^-b"
    found = discover(runs, law=law)
    furthest = next(one for one in found.hidden_runs if one.along == "width_total")
    hidden = runs["width_total"].isin(furthest.at["width_total"])
    assert furthest.count == hidden.sum() == len(furthest.rows)
    np.testing.assert_array_equal(furthest.measured, runs.loc[hidden, "loss"])
    again = discover(runs[~hidden], law=law, at=runs[hidden])
    medians = [one.median for one in again.predictions]
    # the same law and runs, from other starts: as far as the solver goes
    np.testing.assert_allclose(furthest.median, medians, rtol=1e-3)
    ends = np.log([one.intervals[0.9] for one in again.predictions])
    ours = np.log(np.divide(furthest.high_90, furthest.low_90)) / found.stretch
    np.testing.assert_allclose(ours, (ends[:, 1] - ends[:, 0]) / again.stretch, rtol=0.05)
    span = np.log(runs.loc[~hidden, "width_total"].max() / 1e7)
    beyond = np.log(runs.loc[hidden, "width_total"] / runs.loc[~hidden, "width_total"].max())
    np.testing.assert_allclose(furthest.beyond, beyond / span)


def test_of_a_large_table_so_many_hidden_runs_are_told_and_how_many_there_were(
    shallow, monkeypatch
):
    whole = discover(two_powers(), INPUTS).hidden_runs
    monkeypatch.setattr(hidden_runs, "MOST_TOLD", 3)
    few = discover(two_powers(), INPUTS).hidden_runs
    assert [one.count for one in few] == [len(one.rows) for one in whole]
    assert [len(one.rows) for one in few] == [3] * len(whole)
    assert all(set(one.rows) < set(full.rows) for one, full in zip(few, whole, strict=True))


def test_eight_inputs_are_searched():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(np.exp(rng.normal(size=(60, 8))), columns=list("abcdefgh"))
    loss = 2 + table["a"] ** -0.3 + table["b"] ** -0.2
    found = discover(table.assign(loss=loss), list("abcdefgh"))
    assert found.claimed and found.inputs == tuple("abcdefgh")
