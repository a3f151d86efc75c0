"""Facts about the summary: it says what the tables, the fits and the forecast of its page say."""

from dataclasses import replace

import pytest

from analysis.decisions.growth import growth_of_best_split
from analysis.report.words.summary import summarise
from analysis.text.numbers import loss_in_words, number_in_words
from scaling.limits import Limit, LimitCode
from tests.analysis.report.page.read import Page


def test_the_summary_states_the_forecast_with_interval_and_distance(findings, html):
    target = findings.target(10)
    low, high = target.intervals[0.9]
    text = " ".join(Page(html).text.split())
    assert (
        f"should reach a loss of {loss_in_words(target.median)} nats per token, 90% interval "
        f"{loss_in_words(low)} to {loss_in_words(high)}; that is 1.0 decades beyond the data"
    ) in text
    assert findings.target(100).decades_beyond == pytest.approx(2.0, abs=1e-6)


def test_far_targets_that_nobody_asked_for_cast_no_doubt_on_others(findings):
    far = Limit(LimitCode.UNSUPPORTED, "unsupported: targets 2 to 3 decades beyond")
    made = replace(findings.forecast, limits=(far,))
    nothing = tuple(replace(target, limits=(far,)) for target in made.targets)
    for targets, is_told in ((made.targets, False), (nothing, True)):
        found = replace(findings, forecast=replace(made, targets=targets))
        (trust,) = [one.text for one in summarise(found) if one.heading == "How far to trust it"]
        assert ("Unsupported: targets" in trust) is is_told


@pytest.mark.usefixtures("undrawn")
def test_a_promise_that_backtests_did_not_keep_says_so_where_it_is_made(findings):
    bands = list(findings.backtest.by_distance)
    at = bands.index(findings.backtest.at_distance(1.0))
    kept = dict(bands[at].score.coverage)
    told = []
    for share in (0.64, 0.85):
        score = replace(bands[at].score, coverage=kept | {0.9: share})
        bands[at] = replace(bands[at], score=score)
        scored = replace(findings.backtest, by_distance=tuple(bands))
        told += [
            s.text for s in summarise(replace(findings, backtest=scored)) if "reach" in s.heading
        ]
    assert (
        "end inside such an interval 90% of the time, but of the 90% intervals in backtests of "
        "this ladder only 64% as far out as 10 times"
    ) in told[0]
    assert "as far out as 10 times" not in told[1]


def test_the_power_of_the_best_size_is_that_of_the_laws_that_split_budgets(findings, ladder):
    growth = growth_of_best_split(ladder).params
    (said,) = [one.text for one in summarise(findings) if one.heading == "What the law says"]
    low, high = growth.interval
    for value in (growth.estimate, low, high):
        assert number_in_words(value, 2) in said
    sizes = [split.params for split in findings.splits]
    told = (findings.splits[0].budget, findings.splits[-1].budget)
    assert sizes[-1] / sizes[0] == pytest.approx(
        (told[1] / told[0]) ** growth.estimate, rel=0.2
    )  # beyond the runs the laws need not go on as between them
