"""Facts about what a forecast does with runs and questions that it cannot answer as they are.

Each is asked through the command: a refusal is one line and exit code 2, an answer says its limits.
"""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.decisions import budget_for_loss
from scaling.cli import main
from tests.grids import grid_of_runs, true_loss


def table(**changes):
    """A grid of 25 runs, with columns changed."""
    return grid_of_runs(5, seed=2).assign(**changes)


def upside_down():
    """The more compute, the higher the loss."""
    good = table()
    order = np.argsort(good["params"] * good["tokens"])
    loss = np.empty(25)
    loss[order] = np.sort(good["loss"])
    return good.assign(loss=loss)


@pytest.fixture
def ask(tmp_path, capsys):
    """Run a verb on a table; gives the exit code, standard output and standard error."""

    def run(verb, runs, *arguments):
        path = tmp_path / "runs.csv"
        runs.to_csv(path, index=False)
        code = main([verb, str(path), *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


FLOPS = ("--flops", "1e20")
RUN = ("--params", "1e9", "--tokens", "1e11")


@pytest.mark.parametrize(
    ("verb", "runs", "arguments", "says"),
    [
        ("backtest", table()[:5], (), "too few"),
        ("backtest", table(params=1e7), ("--x", "params"), "1 distinct value of params"),
        ("forecast", table(params=1e7), RUN, "only one model size"),
        ("forecast", table(train_flops=1e18), FLOPS, "1 distinct value of train_flops"),
        ("forecast", table(train_flops=1e18), RUN, "all runs have nearly the same compute"),
        ("backtest", table(train_flops=1e18), (), "1 distinct value of train_flops"),
        ("forecast", table(), ("--flops", "0"), "a finite value above zero"),
        ("forecast", table(), ("--flops", "1e32"), "beyond 12 no forecast is made"),
        ("forecast", table(), ("--params", "1e9", "--tokens", "0"), "a finite value above zero"),
        ("forecast", table(eval_hash=["a", "b"] * 12 + ["a"]), FLOPS, "differ in eval_hash"),
        ("backtest", table(eval_hash=["a", "b"] * 12 + ["a"]), (), "differ in eval_hash"),
        ("forecast", table(loss_kind=["x", "y"] * 12 + ["x"]), FLOPS, "differ in loss_kind"),
        ("forecast", upside_down(), FLOPS, "the loss does not fall with compute"),
        ("backtest", upside_down(), (), "the loss does not fall with compute"),
        ("allocate", upside_down(), FLOPS, "the loss does not fall with compute"),
        ("allocate", table(params=1e7), FLOPS, "only one model size"),
        ("allocate", table()[["tokens", "loss"]], FLOPS, "the table has no params;"),
        ("forecast", table(loss=2.0), FLOPS, "does not fall"),
    ],
)
def test_what_cannot_be_answered_is_one_line_and_exit_code_two(ask, verb, runs, arguments, says):
    code, out, err = ask(verb, runs, *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert says in err


def test_a_target_inside_the_data_is_answered_as_interpolation(ask):
    code, out, _ = ask("forecast", table(), "--params", "1e7", "--tokens", "1e9", "--json")
    document = json.loads(out)
    (target,) = document["targets"]
    truth = true_loss(1e7, 1e9)
    low, high = target["intervals"]["0.9"]
    assert code == 0
    assert (target["decades_beyond"], target["limits"]) == (0, [])
    assert low < truth < high
    assert "interpolated" in [limit["code"] for limit in document["limits"]]


def test_too_few_budgets_to_backtest_still_forecast_and_say_so(ask):
    few = table().iloc[[0, 6, 12, 18, 24, 4, 20]]
    code, out, _ = ask("forecast", few, "--flops", "1e19", "--json")
    document = json.loads(out)
    (target,) = document["targets"]
    assert code == 0
    assert (target["backtests"], target["backtest_error"]) == (0, None)
    assert document["evidence"] == []
    assert "not backtested" in [limit["code"] for limit in document["limits"]]


def test_a_bad_largest_run_is_pointed_at(ask):
    runs = table()
    largest = (runs["params"] * runs["tokens"]).sort_values().index[-10:]
    runs.loc[largest, "loss"] += 1.2  # now above the middle of the ladder
    code, out, _ = ask("forecast", runs, *FLOPS)
    assert code == 0
    assert "larger runs may be badly trained" in out


def test_unsupported_points_are_counted_on_standard_error(ask, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("N,D\n2e8,2e10\n1e12,1e14\n")
    code, out, err = ask("forecast", table(), "--at", str(points))
    assert code == 0
    assert "1 of 2 points is unsupported, for example point 2: " in err
    assert "decades beyond the data, which span" in err
    head, near, far = out.strip().splitlines()
    assert head == "N,D,median,low_90,high_90"
    assert len(near.split(",")[2]) > 8  # every digit of a number that is one
    assert far.split(",")[2] == ""
    assert len(far.split(",")[3]) <= 5  # 1.234 at most: no digit below the interval's second


def test_json_says_of_each_point_whether_it_is_supported_and_if_not_why(ask, tmp_path):
    points, written = tmp_path / "points.csv", tmp_path / "predictions.csv"
    points.write_text("N,D\n2e8,2e10\n1e12,1e14\n")
    code, out, _ = ask("forecast", table(), "--at", str(points), "--json", "-o", str(written))
    near, far = json.loads(out)["targets"]
    assert (code, near["limits"]) == (0, [])
    (limit,) = far["limits"]
    assert limit["code"] == "unsupported" and "decades beyond the data" in limit["text"]
    low, high = far["intervals"]["0.9"]
    half_width = (high - low) / 2
    assert far["median"] is None
    for value in (low, high):
        # the place of the half width's second digit, or coarser
        place = 10.0 ** (np.floor(np.log10(half_width)) - 1)
        assert value / place == pytest.approx(round(value / place), abs=1e-6)  # float rounding
    assert len(written.read_text().splitlines()) == 3


def test_predictions_that_cannot_be_written_are_one_line(ask, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("N,D\n2e8,2e10\n")
    code, out, err = ask("forecast", table(), "--at", str(points), "-o", str(tmp_path))
    assert (code, out) == (2, "")
    assert "cannot be written" in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("runs", [upside_down(), table(loss=2.0)], ids=["rises", "flat"])
@pytest.mark.parametrize("how", [(), ("--all-runs",)])
def test_a_fit_refuses_as_a_forecast_does_where_more_compute_does_not_help(ask, runs, how):
    code, out, err = ask("fit", runs, *how, "--bootstrap", "0")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert "the loss does not fall with train_flops" in err
    assert "the loss does not fall with" in ask("forecast", runs, *FLOPS)[2]
    assert ask("fit", table(), "--bootstrap", "0")[0] == 0


def test_rows_that_take_no_part_are_counted(ask):
    runs = pd.concat([table(), table()[:2]], ignore_index=True)
    runs.loc[3, "loss"] = np.nan
    code, out, _ = ask("forecast", runs, *FLOPS)
    assert code == 0
    assert "left out: exact copy of an earlier row (2), loss is blank or not finite (1)" in out
    assert "left out" not in ask("forecast", table(), *FLOPS)[1]


def test_losses_in_small_units_keep_their_digits(ask):
    _, nats, _ = ask("forecast", table(), *FLOPS)
    _, small, _ = ask("forecast", table(loss=table()["loss"] / 1000), *FLOPS)
    low, high = (float(end) for end in small.split("[")[1].split("]")[0].split(", "))
    expected = [float(end) for end in nats.split("[")[1].split("]")[0].split(", ")]
    # half a unit of the last of four digits on either side
    assert [1000 * low, 1000 * high] == pytest.approx(expected, abs=1e-3)


def test_a_high_level_is_said_in_full(ask):
    assert "99.125% interval" in ask("forecast", table(), *FLOPS, "--level", ".99125")[1]


def test_a_budget_for_a_loss_is_supported_where_its_forecast_is(ask, monkeypatch):
    few = table().iloc[[0, 6, 12, 18, 24, 4, 20]]  # too few to backtest: half the span is reached
    found, budgets = [], []
    judged = budget_for_loss._against
    monkeypatch.setattr(
        budget_for_loss, "_against", lambda a, at, *more: budgets.append(at) or judged(a, at, *more)
    )
    for loss in ("2.7", "2.4", "2.2", "2.1", "2.05"):
        (budget,) = json.loads(ask("forecast", few, "--target-loss", loss, "--json")[1])
        median = f"{budgets[-1]!r}"
        (there,) = json.loads(ask("forecast", few, "--flops", median, "--json")[1])["targets"]
        limited = [
            "unsupported" in [limit["code"] for limit in one["limits"]] for one in (budget, there)
        ]
        assert limited[0] == limited[1]
        found.append(limited[0])
    assert set(found) == {True, False}
