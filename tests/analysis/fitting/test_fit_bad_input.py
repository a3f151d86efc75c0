"""What a fit cannot use it refuses in one line, or leaves out with a reason."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.result import FitStatus
from scaling.errors import FitError, RecordError, ScalingError
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table
from scaling.simulate import grid_of_runs, simulate_records

CHINCHILLA, POWER = Chinchilla.example(), PowerLaw.example()
QUICK = {"bootstrap": 0, "card": False}


def grid(**noise):
    return simulate_records(CHINCHILLA, Chinchilla.example_runs(), **noise)


def changed(records, **columns):
    return replace(records, table=records.table.assign(**columns))


def refused(match, *arguments, **options):
    with pytest.raises(ScalingError, match=match) as caught:
        fit_as_asked(*arguments, **{**QUICK, **options})
    assert "\n" not in str(caught.value)


def test_nan_and_infinite_losses_are_left_out_with_a_reason():
    loss = grid(relative_noise=0.001).column("loss").copy()
    loss[[3, 7]], loss[11] = np.nan, np.inf
    fit = fit_as_asked(changed(grid(), loss=loss), "chinchilla", **QUICK)
    assert fit.n_runs == 46
    assert fit.dropped == {"loss is blank or not finite": 3}


def test_a_one_run_table_is_refused():
    one = records_from_table(pd.DataFrame({"train_flops": [1e18], "loss": [3.0]}))
    refused("3 free constants .* only 1 different configuration", one)


def test_replicates_are_not_configurations():
    runs = {"train_flops": np.repeat([1e18, 1e19], 10)}
    refused("only 2 different configurations", simulate_records(POWER, runs, relative_noise=0.01))


def test_tokens_proportional_to_params_are_refused():
    fixed_ratio = simulate_records(CHINCHILLA, grid_of_runs(np.geomspace(1e7, 1e10, 12), [20]))
    refused("tokens per parameter are the same in all runs.*power_law", fixed_ratio, "chinchilla")


def test_tokens_that_are_a_power_of_params_are_refused():
    n = np.geomspace(1e7, 1e10, 12)
    refused(
        r"tokens are one power of params \(0.70\)",
        simulate_records(CHINCHILLA, {"params": n, "tokens": 1e4 * n**0.7}),
        "chinchilla",
    )


def test_a_narrow_range_of_ratios_is_said():
    narrow = simulate_records(CHINCHILLA, grid_of_runs(np.geomspace(1e7, 1e10, 6), [10, 20, 40]))
    fit = fit_as_asked(narrow, "chinchilla", objective="least_squares", **QUICK)
    assert any("tokens per parameter span a factor of 4" in limit.text for limit in fit.limits)


@pytest.mark.parametrize("column", ["params", "tokens"])
def test_fewer_than_three_sizes_are_refused(column):
    n, d = np.meshgrid(np.geomspace(1e7, 1e10, 6), [1e9, 1e11])
    runs = {"params": n.ravel(), "tokens": d.ravel()}
    if column == "params":
        runs = {"params": d.ravel() / 10, "tokens": n.ravel() * 10}
    refused(f"2 different values of {column}", simulate_records(CHINCHILLA, runs), "chinchilla")


def test_exact_copies_of_rows_are_left_out_with_a_reason():
    once = grid().table[["params", "tokens", "loss"]]
    twice = records_from_table(pd.concat([once, once]))
    fit = fit_as_asked(twice, "chinchilla", objective="least_squares", **QUICK)
    assert fit.n_runs == 49
    assert fit.dropped == {"exact copy of an earlier row": 49}


def test_losses_below_a_fixed_floor_are_refused():
    refused("not above the fixed floor E = 2.5", grid(), "chinchilla", fix={"E": 2.5})


@pytest.mark.parametrize("column", ["tokenizer_hash", "eval_hash"])
def test_mixed_tokenizers_or_evaluation_sets_are_refused(column):
    refused(
        f"the runs differ in {column}",
        changed(grid(), **{column: ["a", "b"] * 24 + ["a"]}),
        "chinchilla",
    )


def test_diverged_and_held_out_runs_stay_out():
    status = ["finished"] * 47 + ["diverged"] * 2
    held_out = [False] * 40 + [True] * 9
    fit = fit_as_asked(changed(grid(), status=status, held_out=held_out), "chinchilla", **QUICK)
    assert fit.n_runs == 40
    assert fit.dropped == {"diverged": 2, "held out by the plan": 7}


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ('unknown law "chinchila"; did you mean chinchilla. the laws are', {"law": "chinchila"}),
        ('unknown objective "hubber"; the objectives are', {"objective": "hubber"}),
        ("--huber-delta is -1", {"huber_delta": -1.0}),
        ("--fix q=1.0: power_law has no constant q", {"fix": {"q": 1.0}}),
        ("--fix c=-1: c of power_law cannot be below zero", {"fix": {"c": -1.0}}),
        ("--fix c=nan: give a finite number", {"fix": {"c": float("nan")}}),
        ("names every constant", {"fix": {"a": 1.0, "b": -0.1, "c": 1.0}}),
        ('no column "steps"', {"x": "steps"}),
        ("--x loss: chinchilla reads params, tokens", {"law": "chinchilla", "x": "loss"}),
        ("confidence level 95 is not between", {"confidence_level": 95}),
        ("--bootstrap -1", {"bootstrap": -1}),
        ("3 weights for 40 runs", {"weights": [1.0, 1.0, 1.0]}),
        ('no column "loss_stderr"', {"weights": "stderr"}),
        ("power_law has no constant E", {"bounds": {"E": (0, 1)}}),
        ("bounds of c: 3 is not below 2", {"bounds": {"c": (3, 2)}}),
        ("--tie c=a \\+ zzz: there is no zzz", {"expressions": {"c": "a + zzz"}}),
    ],
)
def test_a_wrong_option_is_one_line(match, options):
    records = simulate_records(POWER, PowerLaw.example_runs())
    law = options.pop("law", "power_law")
    refused(match, records, law, **options)


def test_data_constrained_needs_a_run_that_repeats_data():
    records = grid()
    fresh = changed(records, unique_tokens=records.column("tokens"))
    refused("no run repeats its data", fresh, "data_constrained")


def test_too_few_budgets_do_not_identify_a_floor():
    flops = np.repeat(np.geomspace(1e17, 1e18, 4), 2)
    records = simulate_records(POWER, {"train_flops": flops}, relative_noise=0.005, seed=1)
    fit = fit_as_asked(records, objective="least_squares", bootstrap=200, card=False)
    assert fit.status in (FitStatus.FLOOR_NOT_IDENTIFIED, FitStatus.AT_BOUND)
    assert first_of(LimitCode.FLOOR_NOT_IDENTIFIED, fit.limits)
    assert "floor not identified" in str(fit)


def test_a_wide_clean_ladder_does_identify_its_floor():
    records = simulate_records(POWER, PowerLaw.example_runs(), relative_noise=0.002, seed=1)
    fit = fit_as_asked(records, objective="least_squares", bootstrap=200, card=False)
    assert fit.status is FitStatus.CONVERGED and fit.limits == ()
    assert fit.constants["c"].low > 1.0


def test_losses_that_bend_downwards_put_the_floor_at_zero():
    flops = np.geomspace(1e17, 1e20, 12)
    table = pd.DataFrame({"train_flops": flops, "loss": 5 - 0.3 * np.log10(flops / 1e17) ** 1.5})
    fit = fit_as_asked(
        records_from_table(table), objective="least_squares", bootstrap=100, card=False
    )
    assert fit.status is FitStatus.AT_BOUND
    assert fit.law.c == 0.0
    assert np.isfinite(fit.draws.loss(1e21)).all()


def test_as_many_runs_as_constants_leave_nothing_to_judge_by():
    records = simulate_records(POWER, {"train_flops": [1e17, 1e18, 1e19]})
    with pytest.raises(FitError, match="3 different configurations tell no law from chance"):
        fit_as_asked(records, bootstrap=20, card=False)


@pytest.mark.slow
def test_a_million_rows_are_fitted_with_intervals():
    n = np.tile(np.geomspace(1e7, 1e10, 1000), 1000)
    d = np.repeat(np.geomspace(1e9, 1e12, 1000), 1000)
    rng = np.random.default_rng(0)
    loss = CHINCHILLA.loss(n, d) * np.exp(0.01 * rng.standard_normal(len(n)))
    # a bare table: the point is the fit, not the reader
    records = replace(grid(), table=pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    fit = fit_as_asked(records, "chinchilla", objective="least_squares", bootstrap=100, card=False)
    assert fit.resampling == "normal"
    for name, estimate in fit.constants.items():
        # four standard errors
        assert abs(estimate.estimate - getattr(CHINCHILLA, name)) < 4 * estimate.stderr


numbers = st.one_of(
    st.floats(1e-3, 1e25), st.sampled_from([np.nan, np.inf, 1.0, 1e18, 2e18]), st.integers(1, 10**9)
)


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes
)
@given(
    rows=st.lists(st.tuples(numbers, numbers, st.floats(0.01, 20)), min_size=1, max_size=10),
    law=st.sampled_from(["power_law", "chinchilla", "overtraining"]),
    objective=st.sampled_from(["huber", "least_squares", "absolute"]),
)
def test_any_table_gives_a_finite_law_or_one_line(rows, law, objective):
    """Whatever the numbers, the answer is finite or the refusal is one line of ours."""
    table = pd.DataFrame(rows, columns=["params", "tokens", "loss"]).astype(float)
    table["train_flops"] = 6 * table["params"] * table["tokens"]
    try:
        records = records_from_table(table)
        fit = fit_as_asked(records, law, objective=objective, bootstrap=10, card=False)
    except (FitError, RecordError) as error:
        assert "\n" not in str(error)
        return
    used = records.usable(*fit.columns)
    assert np.isfinite(list(fit.law.constants().values())).all()
    assert np.isfinite(fit.law.loss(*(used.column(c) for c in fit.columns))).all()
    assert fit.n_runs + sum(fit.dropped.values()) == len(table)
    assert fit.status.value in str(fit)


@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
@given(
    budgets=st.integers(4, 10),
    noise=st.floats(1e-6, 0.1),  # without any, refits agree and there are no draws
    decades=st.floats(0.1, 6),
    seed=st.integers(0, 100),
)
def test_any_ladder_gives_draws_that_predict_finite_losses(budgets, noise, decades, seed):
    flops = np.geomspace(1e17, 1e17 * 10**decades, budgets)
    records = simulate_records(POWER, {"train_flops": flops}, relative_noise=noise, seed=seed)
    fit = fit_as_asked(records, bootstrap=20, card=False)
    low, high = fit.interval(lambda law: law.loss(flops))
    assert np.isfinite(low).all() and (low <= high).all()
