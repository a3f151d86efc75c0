"""Facts about rung health in fits and forecasts: what is mistuned counts less, in words."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.problem import pose_again
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.text.forecasting import forecast_text
from analysis.text.tuning import health_text
from analysis.tuning.rungs import ladder_health
from scaling.cli import main
from scaling.errors import RecordError
from scaling.laws.registry import LAWS
from scaling.records import read_records, records_from_table

TRUTH = LAWS["chinchilla"](E=1.7, A=120.0, B=200.0, alpha=0.4, beta=0.35)
MISTUNED = 64
WIDTHS = (16, 32, 48, 64, 96, 128)
TARGET = Targets.runs([3e6], [6e8])


def a_ladder(health=None, gap=np.nan, *, loss_factor=1.05):
    """Six widths, four horizons each; runs of one width end 5% too high. The shortest run of each
    width carries its check."""
    rng = np.random.default_rng(0)
    rows = []
    for width in WIDTHS:
        params = 12 * width**2 + 100 * width
        for times in (10, 20, 40, 80):
            tokens = params * times
            loss = float(TRUTH.loss(params, tokens)) * np.exp(rng.normal(0, 0.002))
            first = times == 10
            rows.append(
                {
                    "run_id": f"w{width}-{times}",
                    "width": width,
                    "depth": 1,
                    "params": params,
                    "tokens": tokens,
                    "train_flops": 6 * params * tokens,
                    "loss": loss * (loss_factor if width == MISTUNED else 1.0),
                    "health": "ok" if first else None,
                    "lr_offset": 0.05 if first else np.nan,
                    "lr_curvature": 0.04 if first else np.nan,
                    "lr_gap": 0.0002 if first else np.nan,
                    "lr_gap_stderr": 0.0001 if first else np.nan,
                    "clipped_share": 0.02,
                    "spikes": 3 if width == 96 and first else 0,
                    "steps": 1000,
                }
            )
    table = pd.DataFrame(rows)
    if health:
        carries = (table["width"] == MISTUNED) & table["health"].notna()
        table.loc[carries, "health"] = health
        table.loc[carries, "lr_gap"] = gap
    return table


def predicted(table):
    return forecast(
        records_from_table(table), TARGET, options=ForecastOptions(confidence_levels=(0.9,))
    )


def test_a_forecast_leaves_a_mistuned_rung_out_and_says_so():
    made = predicted(a_ladder("edge", 0.05))
    ladder = a_ladder()
    without = predicted(ladder[ladder["width"] != MISTUNED])
    assert made.runs == without.runs == 20
    assert made.targets[0].median == without.targets[0].median
    assert any("4 runs are left out: edge" in limit.text for limit in made.limits)
    assert "4 runs are left out: edge" in forecast_text(made)


def test_a_fit_leaves_a_mistuned_rung_out_and_says_so():
    fitted = fit_as_asked(records_from_table(a_ladder("edge", 0.05)), "chinchilla", bootstrap=0)
    assert fitted.n_runs == 20
    assert "4 runs are left out: edge" in str(fitted)


def test_a_fit_says_that_its_weights_follow_health_and_can_be_made_again():
    soft = fit_as_asked(records_from_table(a_ladder("soft", 0.005)), "chinchilla", bootstrap=0)
    assert soft.weights == "by rung health" and soft.card["weights"] == "by rung health"
    assert (
        fit_as_asked(records_from_table(a_ladder()), "chinchilla", bootstrap=0).weights == "equal"
    )
    again = pose_again(soft, records_from_table(a_ladder("soft", 0.005)))
    assert np.unique(np.round(again.weights / again.weights.max(), 9)).tolist() == [0.5, 1.0]


def test_a_soft_rung_does_not_mislead_a_forecast_that_knows_its_gap():
    unaware, aware = (
        predicted(a_ladder(*check)).targets[0].median for check in ((None,), ("soft", 0.05))
    )
    # what the same ladder would forecast if all its rungs were well trained
    clean = predicted(a_ladder(loss_factor=1.0)).targets[0].median
    assert abs(aware - clean) < abs(unaware - clean) / 2
    made = predicted(a_ladder("soft", 0.05))
    assert made.runs == 24
    assert any("checks of rungs: 0.0 to " in limit.text for limit in made.limits)
    assert "of the loss taken off" in " ".join(forecast_text(made).split())


def test_a_healthy_ladder_is_forecast_like_one_that_nobody_checked_and_a_little_narrower():
    columns = ["health", "lr_gap", "lr_offset", "lr_curvature", "lr_gap_stderr"]
    ladder = a_ladder(loss_factor=1.0)
    (checked,), (plain,) = (
        predicted(table).targets for table in (ladder, ladder.drop(columns=columns))
    )
    # gaps of .02% with errors of .05% are worth no more than that
    assert checked.median == pytest.approx(plain.median, rel=5e-4)
    width, before = (t.intervals[0.9].high - t.intervals[0.9].low for t in (checked, plain))
    assert 0.9 * before < width < before


def test_the_curve_of_best_runs_weighs_health_too():
    def along(table):
        records = records_from_table(table.drop(columns=["params", "tokens"]))
        return forecast(
            records, Targets.flops(1e14), options=ForecastOptions(confidence_levels=(0.9,))
        )

    assert along(a_ladder("edge", 0.05)).limits[1].text.startswith("4 runs are left out: edge")
    # two laws over one decade: the rung whose losses are too low wins its budgets, unless weighed
    low = {"loss_factor": 0.97}
    aware, unaware = (
        along(a_ladder(*check, **low)).targets[0] for check in (("soft", 0.1), (None,))
    )
    assert aware.median != unaware.median


def test_each_rung_is_told_with_its_check_its_signs_and_its_weight():
    health = ladder_health(records_from_table(a_ladder("soft", 0.005)))
    assert health.to_frame()["name"].tolist() == [rung.name for rung in health.rungs]
    assert [rung.name for rung in health.rungs] == [f"width {w}, depth 1" for w in WIDTHS]
    soft = health.rungs[3]
    assert (soft.status, soft.runs, soft.gap, soft.weight) == ("soft", 4, 0.005, 0.5)
    assert soft.lr_offset == 0.05 and soft.gap_stderr == 0.0001
    assert "count 0.50" in soft.reason
    assert health.rungs[4].spikes == 3 and health.rungs[4].weight == 1
    edge = ladder_health(records_from_table(a_ladder("edge", 0.05))).rungs[3]
    assert edge.weight == 0 and "left out" in edge.reason


def test_a_curve_that_does_not_collapse_stands_apart_and_keeps_its_weight():
    table = a_ladder()
    share = np.linspace(0.01, 1, 100)
    curves = []
    for number, run_id in enumerate(table["run_id"]):
        late = 1.1 if run_id == "w48-20" else 0.4 + 0.001 * number
        losses = 2 + late * (1 - share) ** 1.5
        steps = np.round(1000 * share)
        curves.append(pd.DataFrame({"run_id": run_id, "step": steps, "train_loss": losses}))
    health = ladder_health(records_from_table(table), pd.concat(curves))
    assert [rung.name for rung in health.rungs if rung.stands_apart] == ["width 48, depth 1"]
    assert health.rungs[2].weight == 1
    assert "APART" in health_text(health)


def test_a_trend_of_the_offsets_names_its_price_at_larger_runs():
    table = a_ladder()
    checked = table["health"].notna()
    # a slope of -.2 a unit of ln width; tokens scattered, so that the two can be told apart
    table.loc[checked, "tokens"] *= np.array([1, 4, 2, 8, 1, 3.0])
    table.loc[checked, "lr_offset"] = -0.2 * np.log(table["width"][checked])
    health = ladder_health(records_from_table(table))
    assert health.trend is not None and health.trend.is_real
    (stake,) = health.stakes
    assert stake.run == "largest fitted run"
    assert stake.lr_offset == pytest.approx(-0.2 * np.log(128), abs=1e-6)  # solver's rounding
    assert "the rule drifts" in health_text(health)


def test_three_checked_rungs_are_too_few_for_a_trend_and_that_is_said():
    table = a_ladder()
    health = ladder_health(records_from_table(table[table["width"] < 64]))
    assert health.trend is None
    assert "a trend needs 4" in health_text(health)


def test_a_table_without_health_is_refused_in_one_line():
    table = a_ladder()[["params", "tokens", "loss"]]
    with pytest.raises(RecordError, match="check_learning_rate"):
        ladder_health(records_from_table(table))


def test_a_word_that_is_no_verdict_is_refused_in_one_line():
    with pytest.raises(RecordError, match='health is "fine"; it is one of ok, soft, edge, cap'):
        ladder_health(records_from_table(a_ladder("fine", 0.01)))


def test_runs_without_signs_or_sizes_still_have_a_standing():
    bare = a_ladder("soft", 0.005)[["width", "loss", "train_flops", "health", "lr_gap"]]
    health = ladder_health(records_from_table(bare))
    assert [rung.name for rung in health.rungs] == [f"width {w}" for w in WIDTHS]
    soft = health.rungs[3]
    assert (soft.weight, soft.spikes, soft.clipped_share, soft.lr_offset) == (0.5, None, None, None)
    assert "no trend of the learning rates: none was checked" in health_text(health)


def test_the_health_command_prints_what_ladder_health_returns(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    a_ladder("edge", 0.05).to_csv(path, index=False)
    assert main(["health", str(path)]) == 0
    assert "left out" in capsys.readouterr().out
    assert main(["health", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [rung["status"] for rung in document["rungs"]].count("edge") == 1
    assert document["rungs"][0]["curve_deviation"] is None
    assert document["notes"] == []
    assert document == json.loads(ladder_health(read_records(path)).to_json())
    assert document["trend"]["is_real"] is False


def test_the_forecast_command_says_what_was_left_out(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    a_ladder("edge", 0.05).to_csv(path, index=False)
    assert main(["forecast", str(path), "--params", "3e6", "--tokens", "6e8"]) == 0
    assert "4 runs are left out: edge" in capsys.readouterr().out
    assert main(["fit", str(path), "--law", "chinchilla", "--bootstrap", "0"]) == 0
    assert "4 runs are left out: edge" in capsys.readouterr().out
