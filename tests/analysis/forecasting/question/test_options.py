"""Facts about how a forecast is made: one value, which refuses what no forecast can keep."""

from dataclasses import replace

import pytest

from analysis.decisions.optimal_split import allocate
from analysis.evaluation.backtest import backtest
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from scaling.errors import ForecastError
from scaling.laws.registry import LAWS
from scaling.laws.surfaces import Chinchilla


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"law": "kaplan"}, 'no law "kaplan"; choose auto or one of: .*chinchilla'),
        ({"draws": 99}, "take 100 or more"),
        ({"seed": -1}, "seed is -1"),
        ({"backtests": -1}, "backtests is -1"),
        ({"confidence_levels": (90.0,)}, "between 0 and 1"),
        ({"confidence_levels": (0.9999,)}, "needs 10000 draws"),
    ],
)
def test_what_no_forecast_can_keep_is_refused_in_one_line(options, says):
    with pytest.raises(ForecastError, match=says) as caught:
        ForecastOptions(**options)
    assert "\n" not in str(caught.value)


def test_a_changed_field_is_checked_with_the_others():
    fine = ForecastOptions(confidence_levels=(0.999,))
    with pytest.raises(ForecastError, match="needs 1000 draws"):
        replace(fine, draws=500)


def test_each_level_stands_once_in_the_order_given():
    assert ForecastOptions(confidence_levels=[0.9, 0.5, 0.9]).confidence_levels == (0.9, 0.5)


def test_a_law_is_known_by_its_name_or_itself():
    assert DEFAULT.one_law is None and DEFAULT.law_name == "auto"
    for law in (Chinchilla.name, Chinchilla):
        options = ForecastOptions(law=law)
        assert (options.one_law, options.law_name) == (LAWS[Chinchilla.name], Chinchilla.name)


def test_a_forecast_along_a_column_has_no_split(ladder):
    with pytest.raises(ForecastError, match="along tokens knows no split"):
        allocate(ladder, 1e21, options=ForecastOptions(x="tokens"))


def test_a_backtest_covers_the_levels_that_were_asked_for_and_its_own(ladder):
    quick = ForecastOptions(law=Chinchilla, confidence_levels=(0.7,), draws=100, backtests=0)
    tested = backtest(ladder, options=quick)
    assert list(tested.overall.coverage) == [0.5, 0.7, 0.8, 0.9, 0.95]
    assert ForecastOptions().confidence_levels == (0.9,)  # as the command line has it
    assert tested.law == Chinchilla.name
