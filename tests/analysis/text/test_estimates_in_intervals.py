"""An estimate lies in the interval that is printed beside it, however narrow that is."""

import re
from dataclasses import replace

import pytest

from analysis import ForecastOptions, Targets, allocate, fit_law, forecast
from analysis.approaches.side_by_side import CrossCheck
from analysis.evaluation.held_out import HeldOutRun
from analysis.forecasting.unfinished_runs import RunningForecast
from analysis.intervals import Interval, telling_digits
from analysis.report.tables.cells import predicted_cells
from analysis.report.tables.forecasts import constants_table
from tests.grids import grid_of_runs

NARROW = 2e-7  # half the width of an interval, relative
NUMBER = r"\d[\d.]*(?:e[+-]?\d+)?"
IN_BRACKETS = re.compile(rf"({NUMBER})\s+\[({NUMBER}), ({NUMBER})\]")


def narrowed(value):
    """An interval of the value that four digits do not show."""
    return Interval(value * (1 - NARROW), value * (1 + NARROW))


def told(text):
    """Every estimate in a text with the ends of its interval."""
    return [tuple(map(float, found)) for found in IN_BRACKETS.findall(text)]


def of_split(split):
    """The sizes and the loss of a split as it is printed, each before its interval."""
    rows = [line.split("  ") for line in str(split).splitlines() if line.startswith("1e+19  ")]
    (_, n, d, _, _, n_range, d_range), (_, loss, loss_range, *_) = (
        [cell.strip() for cell in row if cell.strip()] for row in rows
    )
    return f"{n} {n_range} {d} {d_range} {loss} {loss_range}"


@pytest.fixture(scope="module")
def exact():
    """Runs that follow one law but for a millionth."""
    return grid_of_runs(4, noise=1e-6)


@pytest.fixture(scope="module")
def texts(exact):
    """Texts of results whose intervals are narrow."""
    options = ForecastOptions(draws=200)
    made = forecast(exact, Targets.runs(2e8, 2e10), options=options)
    made = replace(
        made,
        targets=tuple(replace(t, intervals={0.9: narrowed(t.median)}) for t in made.targets),
    )
    (split,) = allocate(exact, [1e19], options=options).splits
    split = replace(
        split,
        params_range={0.9: narrowed(split.params)},
        tokens_range={0.9: narrowed(split.tokens)},
        loss_range={0.9: narrowed(split.loss)},
    )
    ends = narrowed(1.7)
    held = HeldOutRun(
        run="a", at={"params": 1e9}, predicted=1.7, measured=1.7, interval=ends, decades_beyond=1.0
    )
    running = RunningForecast(
        run_id="a",
        share_done=0.5,
        loss_so_far=1.8,
        predicted=1.7,
        low=ends.low,
        high=ends.high,
        confidence_level=0.9,
        finished_runs=3,
        outcome_settled=False,
    )
    check = CrossCheck(approach="a", exponent=0.5, interval=narrowed(0.5), limits=())
    return {
        "fit": str(fit_law(exact, "chinchilla", bootstrap=40)),
        "forecast": str(made),
        "split": of_split(split),
        "held-out run": held.line,
        "running run": running.line,
        "exponent": check.line.replace("C^", ""),
    }


@pytest.mark.parametrize(
    "of", ["fit", "forecast", "split", "held-out run", "running run", "exponent"]
)
def test_a_printed_estimate_lies_in_its_printed_interval(texts, of):
    found = told(texts[of])
    assert found
    assert all(low <= estimate <= high and low < high for estimate, low, high in found)


def test_constants_of_a_page_lie_in_their_printed_intervals(exact):
    rows = constants_table(fit_law(exact, "chinchilla", bootstrap=40)).rows
    for _, estimate, span in rows:
        low, high = (float(end) for end in span.split(" to "))
        assert low <= float(estimate) <= high and low < high
    assert predicted_cells(1.7, narrowed(1.7)) == ("1.7000000", "1.6999997 to 1.7000003")


def test_no_more_digits_are_written_than_tell_the_ends_apart():
    assert telling_digits(399.998, [(399.9978, 399.9999)], 5, of_estimate=6) == 6
    assert telling_digits(1.23456, [(1.1, 1.4)], 5, of_estimate=6) == 5
    assert telling_digits(1.234561, [(1.2345608, 1.24)], 5, of_estimate=6) == 6
    assert telling_digits(2.0, [(2.0, 2.0)], 4) == 4  # a number that is held
    assert telling_digits(None, [(1.0, 1.0001)], 3) == 3
    assert telling_digits(2.0, [(1.0, float("inf"))], 3) == 3
