"""A budget, or a run, is answered alike whatever else is asked in the same call."""

import pytest

from analysis.decisions.optimal_split import allocate
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.targets import Targets
from scaling.arrays import SAME_NUMBER

NEAR = 1e21
OTHERS = (3e20, 3e21)


def numbers(answer, *ranges):
    """Best values and the ends of every range, in one row."""
    ends = [end for name in ranges for span in getattr(answer, name).values() for end in span]
    best = (getattr(answer, name, None) for name in ("params", "tokens", "loss", "median"))
    return [*(value for value in best if value is not None), *ends]


@pytest.mark.parametrize("demand", [{}, {"inference_tokens": 1e11}], ids=["training", "serving"])
def test_a_split_and_its_ranges_do_not_depend_on_the_other_budgets(ladder, demand):
    names = ("params_range", "tokens_range", "loss_range")
    alone = allocate(ladder, NEAR, **demand)[0]
    among = allocate(ladder, OTHERS[0], NEAR, OTHERS[1], NEAR, **demand)
    # sums over other budgets may be rounded otherwise, no more
    assert numbers(among[1], *names) == pytest.approx(numbers(alone, *names), rel=SAME_NUMBER)
    assert numbers(among[3], *names) == numbers(among[1], *names)


@pytest.mark.parametrize(
    "asked", [Targets.flops, lambda *c: Targets.runs(2e9, [v / 12e9 for v in c])]
)
def test_a_forecast_by_size_does_not_depend_on_the_other_targets(ladder, asked):
    alone = forecast(ladder, asked(NEAR)).targets[0]
    among = forecast(ladder, asked(OTHERS[0], NEAR, OTHERS[1])).targets[1]
    assert numbers(among, "intervals") == pytest.approx(
        numbers(alone, "intervals"), rel=SAME_NUMBER
    )
