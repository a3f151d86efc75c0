"""Facts about forecasts of a metric: two routes, the better by backtest, never out of range."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis import ForecastOptions, Targets, forecast_metric
from analysis.capabilities.metrics import has_a_range, metric_of
from analysis.capabilities.routes import DIRECTLY, THROUGH
from scaling.errors import ForecastError, RecordError
from scaling.laws import Chinchilla
from scaling.limits import LimitCode
from scaling.simulate import isoflop_runs, simulate_records

LAW = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
BUDGETS = (3e20, 1e21, 1e22, 1e27)
RUNS = isoflop_runs(np.geomspace(1e16, 1e20, 7), [0.5, 1.0, 2.0], LAW)


def with_metric(values, name="accuracy", seed=1):
    records = simulate_records(LAW, RUNS, relative_noise=0.003, seed=seed)
    made = values(records.column("loss")) if callable(values) else values
    return replace(records, table=records.table.assign(**{name: made}))


def accuracy(loss):
    return 0.25 + 0.75 / (1 + np.exp(6 * (np.asarray(loss) - 2.6)))


def noisy_accuracy(loss):
    return accuracy(loss) + np.random.default_rng(2).normal(0, 0.01, len(loss))


@pytest.fixture(scope="module")
def answered():
    return forecast_metric(with_metric(noisy_accuracy), "accuracy", Targets.flops(*BUDGETS))


def test_both_routes_answer_and_hold_the_truth(answered):
    for target in answered.targets[:2]:
        truth = accuracy(LAW.loss(target.at["params"], target.at["tokens"]))
        assert set(target.routes) == {THROUGH, DIRECTLY}
        low, high = target.intervals[0.9]
        assert low <= truth <= high and low <= target.median <= high
        assert abs(target.median - truth) < 0.1


def test_the_route_that_missed_hidden_runs_by_less_answers(answered):
    for target in answered.targets:
        errors = {route: one.backtest_error for route, one in target.routes.items()}
        assert target.route == min(errors, key=errors.get)
        assert target.median == target.routes[target.route].median
        assert sum(target.routes[DIRECTLY].weights.values()) == pytest.approx(1)


def test_the_text_and_the_document_have_both_routes(answered):
    text, document = str(answered), json.loads(answered.to_json())
    assert f"{answered.targets[0].route} *" in text and "missed by" in text
    assert set(document["targets"][0]["routes"]) == {THROUGH, DIRECTLY}
    assert list(answered.to_frame()["median"])[:3] == [t.median for t in answered.targets[:3]]


def test_its_figure_draws_every_run_and_target(answered):
    axes = answered.plot()
    assert len(axes.collections[0].get_offsets()) == len(answered.records)
    assert axes.get_ylabel() == "accuracy"


def test_an_error_rate_is_the_same_answer_from_the_other_end(answered):
    errors = with_metric(lambda loss: 1 - noisy_accuracy(loss), "err_avg")
    turned = forecast_metric(errors, "err_avg", Targets.flops(*BUDGETS))
    for mine, theirs in zip(turned.targets[:3], answered.targets, strict=False):
        assert mine.median == pytest.approx(1 - theirs.median, abs=1e-5)
        assert mine.intervals[0.9].low == pytest.approx(1 - theirs.intervals[0.9].high, abs=1e-5)


def test_percentages_are_read_and_answered_in_percent():
    metric = metric_of(with_metric(np.linspace(20, 80, 21)), "accuracy")
    assert (metric.worst, metric.best) == (0.0, 100.0)
    assert metric.values_of(metric.shares) == pytest.approx(metric.values)


def test_far_out_nothing_leaves_the_range(answered):
    for target in answered.targets:
        for one in target.routes.values():
            assert 0 <= one.intervals[0.9].low <= one.intervals[0.9].high <= 1
    assert answered.targets[-1].median is None
    assert answered.targets[-1].limits[0].code is LimitCode.UNSUPPORTED


def test_without_a_loss_only_the_direct_route_answers_and_it_says_so():
    records = with_metric(noisy_accuracy)
    records = replace(records, table=records.table.drop(columns="loss"))
    made = forecast_metric(records, "accuracy", Targets.runs(1e9, 2e10))
    assert set(made.targets[0].routes) == {DIRECTLY}
    assert LimitCode.ONE_LAW in [limit.code for limit in made.limits]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full(21, 0.25), "same in all of 21 runs"),
        (
            0.25 + 0.01 * np.random.default_rng(3).standard_normal(21),
            "all or some may be at chance",
        ),
        (lambda loss: 1 - accuracy(loss), "gets worse with compute"),
        (np.where(np.arange(21) < 5, 0.3, np.nan), '5 runs with "accuracy"'),
    ],
)
def test_what_cannot_tell_is_refused_in_a_line(values, said):
    with pytest.raises(ForecastError, match=said) as caught:
        forecast_metric(with_metric(values), "accuracy", Targets.flops(3e19))
    assert "\n" not in str(caught.value)


def test_a_rise_that_hardly_leaves_the_scatter_is_said():
    compute = np.log10(simulate_records(LAW, RUNS).column("train_flops")) - 16
    rise = 0.25 + 0.009 * compute + 0.012 * np.random.default_rng(4).standard_normal(21)
    made = forecast_metric(with_metric(rise), "accuracy", Targets.flops(2e20))
    assert LimitCode.NEAR_CHANCE in [limit.code for limit in made.limits]


@pytest.mark.parametrize(
    ("name", "better", "ranged"),
    [
        ("mmlu_acc", None, True),
        ("val/accuracy", None, True),
        ("err_avg_17_tasks", None, True),
        ("wer", None, True),
        ("MMLU (%)", None, True),
        ("ARC-C", None, True),
        ("hellaswag_bpb", None, False),
        ("arch", None, False),
        ("skill", "higher", True),
        ("skill", None, False),
        ("val_loss", None, False),
        ("terror_loss", None, False),
        ("val_loss", "lower", False),
    ],
)
def test_names_and_flags_say_what_has_a_range(name, better, ranged):
    assert has_a_range(name, better) is ranged


def test_a_value_outside_the_range_is_named_with_its_run():
    values = np.linspace(0.2, 0.8, 21)
    values[3] = -0.1
    with pytest.raises(RecordError, match="simulated-3.*outside its range"):
        metric_of(with_metric(values), "accuracy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({3: 1.7}, r"simulated-3: .accuracy. is above 1 in 1 of 21 values \(the first 1.7\)"),
        ({4: 45.0}, "simulated-4: .*mend it, or say percent"),
        (dict.fromkeys(range(10), 60.0), "simulated-0: .*above 1 in 10 of 21 values"),
    ],
)
def test_shares_among_which_a_percentage_stands_are_refused_in_a_line(change, said):
    values = np.linspace(0.2, 0.8, 21)
    values[list(change)] = list(change.values())
    with pytest.raises(RecordError, match=said) as caught:
        metric_of(with_metric(values), "accuracy")
    assert "\n" not in str(caught.value)
    assert metric_of(with_metric(values, "accuracy (%)"), "accuracy (%)").best == 100


def test_percentages_that_begin_below_one_percent_are_percentages():
    assert metric_of(with_metric(np.geomspace(0.3, 40, 21)), "accuracy").best == 100
    zeros = np.concatenate([np.zeros(8), np.linspace(2, 40, 13)])
    assert metric_of(with_metric(zeros), "accuracy").best == 100


def test_a_name_that_does_not_say_what_is_better_is_asked_about():
    with pytest.raises(RecordError, match="--better higher or --better lower"):
        metric_of(with_metric(np.linspace(0, 1, 21), "skill"), "skill")


def test_targets_along_a_column_and_one_law_are_refused_in_a_line():
    records = with_metric(noisy_accuracy)
    with pytest.raises(ForecastError, match="say Targets.flops"):
        forecast_metric(records, "accuracy", Targets.along("params", 1e9))
    with pytest.raises(ForecastError, match="along no column and by no one law"):
        forecast_metric(
            records, "accuracy", Targets.flops(1e21), options=ForecastOptions(law="chinchilla")
        )


def test_sizes_are_not_asked_of_runs_that_have_compute_alone():
    records = with_metric(noisy_accuracy)
    records = replace(records, table=records.table[["train_flops", "accuracy"]])
    with pytest.raises(RecordError, match=r'no column "params" \(it has: train_flops, accuracy\)'):
        forecast_metric(records, "accuracy", Targets.runs(1e9, 2e10))


@pytest.fixture(scope="module")
def with_rising_loss():
    """A metric that is zero but among the largest runs, and a loss that rises."""
    records = with_metric(lambda loss: np.where(loss < np.sort(loss)[3], accuracy(loss), 0.0))
    table = records.table.assign(loss=7 - records.table["loss"])
    return forecast_metric(
        replace(records, table=table), "accuracy", Targets.flops(1e19), options=ForecastOptions()
    )


def test_why_there_is_no_route_through_a_loss_is_said(with_rising_loss):
    (said,) = [one for one in with_rising_loss.limits if one.code is LimitCode.ONE_LAW]
    assert "does not fall with compute" in said.text
    assert set(with_rising_loss.targets[0].routes) == {DIRECTLY}


def test_without_backtests_no_route_is_said_to_have_missed_by_less(with_rising_loss):
    assert with_rising_loss.backtests == 0
    codes = [limit.code for limit in with_rising_loss.limits]
    assert LimitCode.NO_BACKTEST in codes and LimitCode.INTERPOLATED in codes
    assert "missed hidden runs" not in str(with_rising_loss)
    assert "0 backtests" not in str(with_rising_loss)


def test_what_each_route_is_made_of_stands_in_the_text(answered):
    for name in answered.targets[0].routes[DIRECTLY].weights:
        assert name in str(answered)
