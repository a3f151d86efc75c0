"""Facts about the approaches of Hoffmann et al. beside the weighted laws."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis import ForecastOptions, fit_law, plan_budgets
from analysis.decisions.by_approach import SHARED_BIAS
from scaling import laws, read_records
from scaling.limits import LimitCode
from scaling.simulate import isoflop_runs, simulate_records

LAW = laws.Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
FEW = ForecastOptions(draws=200)


@pytest.fixture(scope="module")
def plan():
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 5), np.geomspace(0.4, 2.5, 7), LAW)
    records = simulate_records(LAW, runs, relative_noise=0.0005, seed=1)
    return plan_budgets(records, 2e20, 1e26, approaches=True, options=FEW)


def test_on_runs_of_a_law_all_approaches_agree_with_it(plan):
    exponent = LAW.derived()["optimal_params_exponent"]
    of_law = float(LAW.optimal_params(2e20))
    assert len(plan.approaches) == 4
    for one in plan.approaches[:3]:
        # the envelope knows sizes no closer than the grid, whose step is a factor of 1.36
        rough = 0.06 if one.approach.startswith("1") else 0.02
        assert one.exponent == pytest.approx(exponent, abs=rough), one.approach
        assert one.params[0] == pytest.approx(of_law, rel=0.36 if rough > 0.02 else 0.1)
        assert 6 * one.params[0] * one.tokens[0] == pytest.approx(2e20)


def test_no_approach_shows_a_size_where_the_split_is_unsupported(plan):
    assert not plan.splits[1].supported
    assert all(one.params[1] is None and one.tokens[1] is None for one in plan.approaches)


def test_each_approach_says_its_known_bias_in_text_and_json(plan):
    text = " ".join(plan.to_text().split())
    for one in json.loads(plan.to_json())["approaches"]:
        assert one["known_bias"] in text
    assert SHARED_BIAS in text


def test_approaches_that_agree_and_those_that_do_not_are_told_apart(plan):
    assert plan.approaches[-1].agrees is None and plan.approaches[-1].interval is not None
    assert plan.approaches[2].agrees
    alike = " and of approach ".join(one.approach for one in plan.approaches if one.agrees)
    assert f"intervals of approach {alike}, overlap" in " ".join(plan.to_text().split())
    away = replace(plan.approaches[2], agrees=False)
    odd = replace(plan, approaches=(*plan.approaches[:2], away, plan.approaches[3]))
    assert "rests on the choice of a method" in " ".join(odd.to_text().split())


def test_what_limits_an_approach_on_these_runs_is_said_with_it(plan):
    text = " ".join(plan.to_text().split())
    told = [limit.text for one in plan.approaches for limit in one.limits]
    assert told and all(limit in text for limit in told)


def test_an_approach_that_cannot_answer_says_why():
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 5), [0.5, 1.0, 2.0], LAW)
    records = simulate_records(LAW, runs, relative_noise=0.002, seed=1)
    plan = plan_budgets(records, 2e20, approaches=True, options=FEW)
    parabolas = plan.approaches[1]
    assert parabolas.exponent is None and parabolas.params == (None,)
    assert [limit.code for limit in parabolas.limits] == [LimitCode.NO_ANSWER]
    assert "four are needed" in plan.to_text()


def test_the_refit_of_hoffmann_has_the_published_exponent(published):
    where = ["excluded_in_published_fit == 0"]
    runs = read_records(published / "hoffmann2022_epoch.csv", where=where)
    fit = fit_law(runs, "chinchilla", bootstrap=1000, card=False)
    exponent = fit.derived["optimal_params_exponent"]
    # Besiroglu et al. 2024, arXiv:2404.10102: .513, standard error .020; a bootstrap of 1000 knows
    # a standard error to 2%, and the Huber optimum lies .001 from their headline
    assert exponent.estimate == pytest.approx(0.513, abs=0.0015)
    assert exponent.stderr == pytest.approx(0.020, abs=0.0015)
