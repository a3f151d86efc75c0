"""Facts about forecasts: units, order, nesting, honesty at the edge, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.decisions.budget_for_loss import budget_for_loss
from analysis.decisions.optimal_split import allocate
from analysis.evaluation.backtest import backtest
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast, with_predictions
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.intervals import LEVELS
from analysis.text.decisions import budgets_text, splits_text
from analysis.text.forecasting import forecast_text
from scaling.errors import FitError, ForecastError
from scaling.laws.surfaces import Chinchilla, Skaling
from scaling.limits import LimitCode, first_of, texts
from scaling.records import records_from_table
from scaling.simulate import isoflop_runs, simulate_records
from scaling.tables.reading import Reading

TRUTH = Chinchilla(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
BUDGETS = np.geomspace(1e18, 3e19, 5)
RUNS = isoflop_runs(BUDGETS, [0.4, 0.7, 1.4, 2.5], TRUTH)
FAR = 3e20
EVERY_LEVEL = ForecastOptions(confidence_levels=LEVELS)


@pytest.fixture(scope="module")
def ladder():
    return simulate_records(TRUTH, RUNS, relative_noise=0.003, seed=3)


@pytest.fixture(scope="module")
def answer(ladder):
    return forecast(ladder, Targets.flops(1e20, FAR, 3e21), options=EVERY_LEVEL)


def best_loss(train_flops):
    n = TRUTH.optimal_params(train_flops)
    return float(TRUTH.loss(n, train_flops / (6 * n)))


def test_the_interval_at_ten_times_the_compute_contains_the_truth(answer):
    low, high = answer.targets[1].intervals[0.9]
    assert low < best_loss(FAR) < high


def test_higher_levels_hold_the_lower_ones(answer):
    for target in answer.targets:
        ranges = [target.intervals[level] for level in LEVELS]
        assert all(
            b.low < a.low < a.high < b.high for a, b in zip(ranges, ranges[1:], strict=False)
        )


def test_further_targets_are_less_certain(answer):
    widths = [np.log(t.intervals[0.9].high / t.intervals[0.9].low) for t in answer.targets]
    assert widths == sorted(widths)


def test_shares_and_weights_each_make_a_whole(answer):
    for target in answer.targets:
        assert sum(target.shares.values()) == pytest.approx(1)
        assert sum(target.weights.values()) == pytest.approx(1)


def test_a_target_states_its_distance_and_its_split(answer):
    target = answer.targets[1]
    assert target.decades_beyond == pytest.approx(1.0, abs=0.05)  # sizes may lie further out
    assert 6 * target.at["params"] * target.at["tokens"] == pytest.approx(FAR, rel=1e-6)


def test_the_same_seed_gives_the_same_forecast(ladder, answer):
    again = forecast(ladder, Targets.flops(1e20, FAR, 3e21), options=EVERY_LEVEL)
    assert again == answer


def test_the_forecast_survives_writing_and_reading(answer):
    assert Forecast.from_json(answer.to_json()) == answer


def test_a_forecast_of_another_version_is_refused_in_one_line(answer):
    text = answer.to_json().replace('"backtest_error"', '"rehearsed_error"')
    with pytest.raises(ForecastError, match="written by another version .*make it anew"):
        Forecast.from_json(text)


def test_a_forecast_written_before_weights_followed_the_fit_can_be_read(answer):
    document = json.loads(answer.to_json())
    for target in document["targets"]:
        for reason in target["weight_reasons"].values():
            del reason["fitted_weight"]
    read = Forecast.from_json(json.dumps(document))
    assert read.targets[0].weight_reasons["coupled"].fitted_weight is None
    assert "coupled" in forecast_text(read)


def fitted_weights(runs):
    (target,) = forecast(runs, Targets.flops(FAR)).targets
    return {name: reason.fitted_weight for name, reason in target.weight_reasons.items()}


def test_a_law_that_fits_badly_loses_its_weight_before_any_backtest(ladder):
    coupled = Skaling(E=1.8, A=70.0, R=1e2, alpha=0.7, beta=0.9, k=0.4)
    runs = isoflop_runs(BUDGETS, [0.1, 0.4, 1.4, 5.0], coupled)
    weights = fitted_weights(simulate_records(coupled, runs, relative_noise=0.002, seed=4))
    assert weights["additive"] < 0.1 * fitted_weights(ladder)["additive"]
    assert sum(weights.values()) == pytest.approx(1)


def test_small_runs_that_are_badly_tuned_give_the_law_that_says_so_more_weight(ladder):
    name = "badly tuned small runs"
    decades = np.log10(ladder.column("train_flops") / BUDGETS[0])
    badly = ladder.table.assign(loss=ladder.column("loss") * (1 + 0.08 * 0.1**decades))
    weight = fitted_weights(records_from_table(badly[["params", "tokens", "loss"]]))[name]
    assert weight > 2 * fitted_weights(ladder)[name]


def test_counting_tokens_in_billions_changes_no_prediction(ladder):
    table = ladder.table[["params", "tokens", "loss"]]
    scaled = table.assign(tokens=table["tokens"] / 1e9)
    plain = forecast(records_from_table(table), Targets.runs([5e8], [1e11]))
    as_counted = Reading(units={"tokens": "1"})
    other = forecast(records_from_table(scaled, reading=as_counted), Targets.runs([5e8], [1e2]))
    # the same search in shifted coordinates; the solver stops at a relative gain of 1e-9
    assert other.targets[0].median == pytest.approx(plain.targets[0].median, rel=1e-5)


def test_the_order_of_the_rows_changes_nothing(ladder, answer):
    shuffled = records_from_table(ladder.table.sample(frac=1, random_state=0))
    again = forecast(shuffled, Targets.flops(FAR))
    assert again.targets[0].median == pytest.approx(answer.targets[1].median, rel=1e-6)


def test_a_forecast_at_the_optimal_split_is_the_forecast_of_that_run(ladder, answer):
    at = answer.targets[1].at
    run = forecast(ladder, Targets.runs([at["params"]], [at["tokens"]]))
    assert run.targets[0].median == pytest.approx(answer.targets[1].median, rel=1e-4)


def test_a_rough_ladder_is_trusted_less(ladder, answer):
    rough = simulate_records(TRUTH, RUNS, relative_noise=0.02, seed=3)

    def misspecification(result):
        target = result.targets[-1]
        low, high = np.log(target.intervals[0.9])
        return target.shares["model misspecification"] * (high - low) ** 2

    assert misspecification(forecast(rough, Targets.flops(3e21))) > 1.2 * misspecification(answer)


def test_points_keep_their_columns_and_rows(ladder):
    points = pd.DataFrame(
        {"name": ["b", "a", "c"], "N": [5e8, 1e8, 2e9], "tokens": [1e10, 2e9, 4e10]},
        index=[7, 3, 5],
    )
    out = with_predictions(
        points,
        forecast(ladder, points, options=ForecastOptions(confidence_levels=(0.9, 0.975))),
    )
    added = ["median", "low_90", "high_90", "low_97.5", "high_97.5"]
    assert list(out.columns) == [*points.columns, *added]
    pd.testing.assert_frame_equal(out[points.columns], points)
    assert np.all((out["low_97.5"] < out["low_90"]) & (out["median"] < out["high_90"]))


def test_a_budget_answers_without_sizes(ladder):
    curve = records_from_table(ladder.table[["train_flops", "loss"]])
    result = forecast(curve, Targets.flops(FAR))
    low, high = result.targets[0].intervals[0.9]
    assert low < best_loss(FAR) < high
    assert set(result.targets[0].at) == {"train_flops"}
    assert any("no params" in limit.text for limit in result.limits)


def test_a_learning_curve_is_forecast_along_its_own_column():
    x = np.geomspace(1e6, 1e9, 200)
    noise = 0.002 * np.random.default_rng(0).standard_normal(200)
    curve = pd.DataFrame({"seen_examples": x, "loss": (0.3 + 40 * x**-0.3) * np.exp(noise)})
    result = forecast(
        records_from_table(curve),
        Targets.along("seen_examples", 2e9),
        options=ForecastOptions(x="seen_examples"),
    )
    assert result.targets[0].median == pytest.approx(0.3 + 40 * 2e9**-0.3, rel=0.01)  # 5 sigma


@pytest.mark.parametrize("law", ["chinchilla", "skaling", "overtraining", "power_law", "m4"])
def test_one_law_by_name_takes_all_the_weight(ladder, law):
    result = forecast(ladder, Targets.flops(FAR), options=ForecastOptions(law=law, backtests=1))
    assert sum(result.targets[0].weights.values()) == pytest.approx(1)
    assert result.law == law
    assert result.targets[0].centre == pytest.approx(best_loss(FAR), rel=0.05)


def test_targets_inside_and_far_beyond_the_data_say_so(ladder):
    said = " ".join(texts(forecast(ladder, Targets.flops(1e19, 1e24)).limits))
    assert "inside the data" in said
    assert "unsupported" in said


def test_pinned_floors_bracket_the_forecast_of_a_ladder_that_knows_no_floor(ladder):
    short = ladder.select(ladder.column("train_flops") < 1e19, "short")
    result = forecast(short, Targets.flops(2e19))
    assert not result.floor_identified
    medians = [m[0] for m in result.pinned_floors.values()]
    assert min(medians) < result.targets[0].median < max(medians)
    assert "scaling forecast --law skaling --fix E=... also weighs" in str(result)


def test_the_budget_for_a_loss_is_where_the_forecast_reaches_it(ladder, answer):
    back = budget_for_loss(ladder, answer.targets[1].median)
    assert back.median == pytest.approx(
        FAR, rel=0.03
    )  # read off between budgets 0.05 decades apart
    assert back.ranges[0.9].low < FAR < back.ranges[0.9].high


def test_a_loss_below_any_floor_needs_an_infinite_budget(ladder):
    back = budget_for_loss(ladder, 0.2)
    assert back.median == float("inf")
    assert back.ranges[0.9].high == float("inf")
    assert back.limits


def test_a_budget_further_out_than_the_data_span_is_an_order_of_magnitude(ladder, answer):
    near = budget_for_loss(ladder, answer.targets[1].median)
    far = budget_for_loss(ladder, 1.93)
    assert near.supported and not far.supported
    assert first_of(LimitCode.UNSUPPORTED, far.limits)
    text = budgets_text([near, far])
    assert f"{near.median:.3g}" in text
    assert far.median is None and "unsupported" in text
    assert not any(f"{end:.3g}" in text for end in far.ranges[0.9])  # one digit says enough


def test_a_loss_near_the_floor_has_a_one_sided_range(ladder):
    back = budget_for_loss(ladder, 1.85)  # the floor is at 1.8
    assert np.isfinite(back.ranges[0.9].low)
    assert back.ranges[0.9].high == float("inf")


def test_the_optimal_split_range_contains_the_true_optimum(ladder):
    (split,) = allocate(ladder, FAR)
    low, high = split.params_range[0.9]
    assert low < TRUTH.optimal_params(FAR) < high
    low, high = split.tokens_range[0.9]
    assert low < FAR / (6 * TRUTH.optimal_params(FAR)) < high


def test_a_split_too_far_out_shows_one_digit_and_says_why(ladder):
    near, far = allocate(ladder, FAR, 1e25)
    assert not near.limits
    assert ["span 1.48" in limit.text for limit in far.limits] == [True]
    text = splits_text((near, far))
    assert f"{near.params:.3g}" in text
    assert far.params is far.tokens is None and "unsupported" in text
    assert "an order of magnitude only: 1e+25 FLOP" in text


def small(**changes):
    n = np.array([1e7, 2e7, 4e7] * 4)
    d = np.repeat([2e8, 5e8, 1.2e9, 3e9], 3)
    table = pd.DataFrame({"params": n, "tokens": d, "loss": TRUTH.loss(n, d)})
    return records_from_table(table.assign(**changes))


@pytest.mark.parametrize(
    ("records", "targets", "says"),
    [
        (small(), lambda: Targets.flops(0.0), "above zero"),
        (small(), lambda: Targets.flops(1e40), "decades beyond"),
        (small(), lambda: Targets.flops(float("nan")), "finite"),
        (small(params=1e7), lambda: Targets.runs([1e8], [1e9]), "only one model size"),
        (small(train_flops=1e17), lambda: Targets.flops(1e20), "1 distinct value"),
        (
            small(loss=small().column("loss")[::-1]),
            lambda: Targets.flops(1e20),
            "does not fall with compute",
        ),
        (small().select(np.arange(12) < 3, "few"), lambda: Targets.flops(1e20), "distinct value"),
    ],
)
def test_what_the_runs_cannot_answer_is_refused_in_one_line(records, targets, says):
    with pytest.raises(ForecastError, match=says) as caught:
        forecast(records, targets())
    assert "\n" not in str(caught.value)


def test_a_point_that_is_no_number_is_named_by_its_place():
    points = pd.DataFrame({"params": [1e8, "big"], "tokens": [1e9, 1e9]})
    with pytest.raises(ForecastError, match=r"params is \"big\", not a number \(point 2\)"):
        with_predictions(points, forecast(small(), points))


def test_an_unsupported_target_shows_no_median_and_two_digits(ladder):
    result = forecast(ladder, Targets.flops(FAR, 1e26))
    near, far = result.targets
    assert near.supported and not far.supported
    text = forecast_text(result)
    assert f"{near.median:.4f}" in text
    assert far.median is None and f"{far.centre:.4f}" not in text
    low, high = far.intervals[0.9]
    assert f"[{low:.2g}, {high:.2g}]" in text
    assert f"{far.decades_beyond:.2f} decades beyond the data" in text


def test_without_backtests_half_the_span_is_supported_and_no_more(ladder):
    span = np.log10(30)  # 1e18 to 3e19 FLOP
    near, far = 3e19 * 10 ** (0.4 * span), 3e19 * 10 ** (0.7 * span)
    result = forecast(ladder, Targets.flops(near, far), options=ForecastOptions(backtests=0))
    assert [t.supported for t in result.targets] == [True, False]
    assert all("no backtest" in t.evidence for t in result.targets)


def test_the_weights_come_with_their_reasons(answer):
    text = forecast_text(answer)
    target = answer.targets[-1]
    assert target.weights_because in text
    for name, reason in target.weight_reasons.items():
        assert any(
            name in line and f"{reason.first_weight:.0%}" in line and "%" in line.split()[-1]
            for line in text.splitlines()
        )


def test_a_law_that_backtests_better_gains_weight(ladder):
    target = forecast(ladder, Targets.flops(FAR)).targets[0]
    gain = {n: target.weights[n] / r.first_weight for n, r in target.weight_reasons.items()}
    error = {n: r.backtest_error for n, r in target.weight_reasons.items()}
    best, worst = min(error, key=error.get), max(error, key=error.get)
    assert gain[best] > gain[worst]


def test_repeats_tell_run_noise_from_misspecification_and_loss_stderr_the_evaluation_noise():
    # every configuration lies 1% off the law, its three seeds 0.3% apart
    table = simulate_records(
        TRUTH, RUNS, relative_noise=0.003, run_noise=0.01, replicates=3, seed=5
    ).table
    records = records_from_table(table.assign(loss_stderr=0.001 * table["loss"]))
    result = forecast(records, Targets.flops(FAR))
    assert result.noise.source == "repeated runs"
    # 40 spare runs tell a standard deviation to 11%: three of that
    assert result.noise.percent == pytest.approx(0.3, rel=0.33)
    assert result.noise.evaluation_percent == pytest.approx(0.1, rel=1e-6)
    assert result.noise.line in forecast_text(result)


def test_without_repeats_the_default_is_mixed_in_and_named():
    exact = forecast(small(), Targets.flops(1e20))
    assert "default of 0.5%" in exact.noise.source
    # 12 exact runs are worth 7 observations of no noise beside 4 of the default
    assert exact.noise.percent == pytest.approx(0.5 * np.sqrt(4 / 11), rel=0.05)
    assert exact.noise.evaluation_percent is None
    assert "not recorded" in exact.noise.line


def test_seeds_of_a_budget_are_forecast_from_and_none_is_picked_for_its_luck():
    budgets = np.geomspace(1e18, 1e20, 6)
    noise = np.tile([0.004, -0.001, -0.003], len(budgets))
    loss = np.repeat(2.0 + 80 * budgets**-0.1, 3) * (1 + noise)
    seeds = {"train_flops": np.repeat(budgets, 3), "loss": loss, "seed": [1, 2, 3] * len(budgets)}
    answer = forecast(records_from_table(pd.DataFrame(seeds)), Targets.flops(2e20))
    assert (answer.runs, answer.noise.source) == (18, "repeated runs")
    assert pytest.approx(answer.noise.percent, abs=0.05) == 100 * 0.0036  # their spread
    with pytest.raises(ForecastError, match="6 points of the curve are too few"):
        backtest(pd.DataFrame(seeds))  # of whatever number of seeds
    unseeded = pd.DataFrame(seeds).drop(columns="seed")
    answer = forecast(records_from_table(unseeded), Targets.flops(2e20))
    assert answer.runs == 6
    assert "left out: beaten by a run of no more compute (12)" in texts(answer.limits)


def test_one_law_has_no_weights_to_speak_of(ladder):
    one = forecast(ladder, Targets.flops(FAR), options=ForecastOptions(law="chinchilla"))
    assert "weights of the laws" not in forecast_text(one)


@pytest.mark.parametrize("asked", [1e22, [1e21, 1e22], {"train_flops": 1e22}])
def test_what_is_no_target_is_answered_with_how_to_say_it(ladder, asked):
    with pytest.raises(ForecastError, match=r"say what is asked: Targets.flops\(1e21\)"):
        forecast(ladder, asked)


def test_a_constant_that_is_held_leaves_the_others_to_the_runs():
    x = np.geomspace(1e17, 1e20, 12)
    records = records_from_table(pd.DataFrame({"train_flops": x, "loss": 1.9 + 900 * x**-0.16}))
    told = ForecastOptions(law="power_law", fix={"c": 1.9}, draws=200)
    answered = forecast(records, Targets.flops(1e21), options=told).targets[0]
    free = ForecastOptions(law="power_law", draws=200)  # the runs are exact, and tell it alone
    alone = forecast(records, Targets.flops(1e21), options=free).targets[0]
    assert answered.median == pytest.approx(alone.median, rel=1e-5)
    low = ForecastOptions(law="power_law", fix={"c": 0.5}, draws=200)
    assert forecast(records, Targets.flops(1e21), options=low).targets[0].median < answered.median
    both = ForecastOptions(law="power_law", fix={"c": 1.9, "b": -0.16}, draws=200)
    held = forecast(records, Targets.flops(1e21), options=both).targets[0]
    assert held.median == pytest.approx(alone.median, rel=1e-5)
    codes = [limit.code for limit in forecast(records, Targets.flops(1e21), options=told).limits]
    assert LimitCode.FLOOR_NOT_IDENTIFIED not in codes


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"fix": {"c": 1.7}}, "--fix c=1.7 holds a constant of one law; name it with --law"),
        ({"law": "power_law", "fix": {"E": 1.7}}, "power_law has no constant E; it has a, b, c"),
        ({"law": "power_law", "fix": {"c": -1.0}}, "c of power_law cannot be below zero"),
        ({"law": "power_law", "fix": {"c": 99.0}}, "c=99 is not below the lowest loss"),
    ],
)
def test_a_constant_that_cannot_be_held_is_refused(how, said):
    x = np.geomspace(1e17, 1e20, 12)
    records = records_from_table(pd.DataFrame({"train_flops": x, "loss": 1.9 + 900 * x**-0.16}))
    with pytest.raises((ForecastError, FitError), match=said):
        forecast(records, Targets.flops(1e21), options=ForecastOptions(draws=200, **how))


def test_the_median_is_what_the_laws_say_alone_by_their_weights_less_the_drift(ladder, answer):
    assert all(target.supported for target in answer.targets)
    for target in answer.targets:
        together = sum(w * np.log(target.law_losses[k]) for k, w in target.weights.items())
        # equal but for rounding
        assert target.median * (1 + target.drift / 100) == pytest.approx(np.exp(together), rel=1e-9)
    (far,) = forecast(ladder, Targets.flops(1e24)).targets
    assert not far.supported and not far.law_losses
