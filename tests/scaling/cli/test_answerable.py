"""Facts about what a plan says its runs can answer: the later verbs refuse exactly what it said."""

import numpy as np
import pytest

from analysis.decisions.optimal_split import allocate
from analysis.evaluation.backtest import backtest
from analysis.evaluation.held_out import forecast_held_out
from analysis.fitting.policy import fit_law
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from scaling.errors import FitError, ForecastError
from scaling.inputs.bounded_yaml import load_yaml
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode, first_of
from scaling.simulate import simulate_records
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.answerable import answerable
from sweeps.planning.review.text import answers_text

QUICK = ForecastOptions(draws=200)
GRIDS = {
    "one run": {"grid": {"width": 32, "flops": 1e11}},
    "one budget": {"grid": {"width": [16, 32, 48, 64], "flops": 1e11, "seed": [1, 2]}},
    "one size": {"grid": {"width": 32, "flops": [2e10, 4e10, 8e10, 1.6e11, 3.2e11, 6.4e11, 1e12]}},
    "three budgets of one size": {"grid": {"width": 32, "flops": [3e10, 1e11, 3e11]}},
    "two sizes": {"grid": {"width": [32, 48], "flops": [3e10, 6e10, 1.2e11, 2.4e11]}},
    "lockstep": {"grid": {"width": [16, 32, 48, 64, 96, 128], "tokens_per_param": 40}},
    "seeds of lockstep": {
        "grid": {"width": [16, 32, 48, 64, 96, 128], "tokens_per_param": 40, "seed": [1, 2, 3]}
    },
    "few runs of three sizes": {"grid": {"width": [16, 32, 64], "flops": [1e11]}},
    "three sizes": {"grid": {"width": [32, 48, 64], "flops": [3e10, 1e11, 3e11]}},
    "a ladder": {"grid": {"width": [24, 32, 48, 64, 96], "flops": [1e11, 3e11, 1e12, 3e12]}},
}


@pytest.fixture(scope="module", params=GRIDS)
def planned(request):
    """A plan, what it says it can answer, and the records of its runs by a known law."""
    mapping = {"name": "p", "data": {"source": "markov", "symbols": 16, "validation_windows": 4}}
    mapping |= {"model": {"head_size": 8, "context": 64}, "recipe": {"name": "cpt-adamw-tiny/1"}}
    mapping |= GRIDS[request.param]
    if request.param == "a ladder":  # what is held out takes no part
        mapping |= {"held_out": [{"width": 96, "flops": 1e13}]}
    plan = plan_sweep(config_from_mapping(mapping))
    return plan, answerable(plan), records_of(plan)


def records_of(plan):
    """The runs of a plan as a known law would have them."""
    facts = [run.facts_when_finished() for run in plan.runs]
    names = ("params", "tokens", "train_flops", "held_out")
    columns = {name: np.array([one[name] for one in facts]) for name in names}
    law = Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
    return simulate_records(law, columns, relative_noise=0.001)


def refused(question):
    try:
        question()
    except (FitError, ForecastError) as error:
        return str(error)
    return None


def assert_as_said(said, found):
    """Both a yes, or the same reason; analysis adds which runs it left out."""
    assert (said.refusal is None) == (found is None), (said, found)
    assert found is None or said.refusal.split("; ")[0] in found


def test_laws_are_fitted_or_refused_as_the_plan_said(planned):
    _, can, records = planned
    for said, law in ((can.law_of_compute, PowerLaw), (can.law_of_sizes, Chinchilla)):
        assert_as_said(said, refused(lambda law=law: fit_law(records, law, bootstrap=0)))


def test_budgets_are_forecast_and_split_as_the_plan_said(planned):
    plan, can, records = planned
    largest = max(run.train_flops for run in plan.runs if not run.held_out)
    target = Targets.flops(2 * largest)
    assert_as_said(can.forecast, refused(lambda: forecast(records, target, options=QUICK)))
    assert_as_said(can.split, refused(lambda: allocate(records, 2 * largest, options=QUICK)))


def test_backtests_are_as_many_as_the_plan_said(planned):
    _, can, records = planned
    scored = []
    found = refused(lambda: scored.append(backtest(records, options=QUICK)))
    assert_as_said(can.backtest, found)
    assert can.backtests == sum(len(one.origins) for one in scored)


def test_a_forecast_is_supported_as_far_as_the_plan_said(planned):
    plan, can, records = planned
    if can.forecast.refusal:
        assert can.decades_beyond == 0
        return
    largest = max(run.train_flops for run in plan.runs if not run.held_out)
    # by 5% of the distance and the rounding that is allowed either way
    near, far = 0.95 * can.decades_beyond - 0.02, 1.05 * can.decades_beyond + 0.03
    targets = Targets.flops(largest * 10**near), Targets.flops(largest * 10**far)
    inside, outside = (forecast(records, one, options=QUICK).targets[0] for one in targets)
    assert first_of(LimitCode.UNSUPPORTED, outside.limits)
    assert first_of(LimitCode.UNSUPPORTED, inside.limits) is None or "wider" in str(inside.limits)


def test_what_the_plan_asks_for_answers_the_question(planned):
    plan, can, _ = planned
    for question in ("law_of_compute", "law_of_sizes", "forecast", "split", "backtest"):
        said = getattr(can, question)
        if said.refusal is None:
            assert said.add is None
            continue
        assert said.add is not None, said
        cells = load_yaml(f"[{said.add}]")
        raw = plan.config.mapping()
        again = config_from_mapping(raw | {"cells": [*raw["cells"], *cells]})
        assert getattr(answerable(plan_sweep(again)), question).refusal is None


def test_the_text_says_each_answer(planned):
    _, can, _ = planned
    text = answers_text(can)
    refusals = [answer.refusal for answer in can.answers if answer.refusal]
    assert all(f"no: {refusal}" in text for refusal in refusals)
    assert text.count(": yes") == len(can.answers) - len(refusals)


@pytest.mark.parametrize(("held_out", "is_far"), [(6e12, False), (1e15, True)])
def test_a_held_out_run_beyond_the_reach_is_told_before_anything_is_spent(held_out, is_far):
    mapping = {"name": "p", "data": {"source": "markov", "symbols": 16, "validation_windows": 4}}
    mapping |= {"model": {"head_size": 8, "context": 64}, "recipe": {"name": "cpt-adamw-tiny/1"}}
    mapping |= GRIDS["a ladder"] | {"held_out": [{"width": 96, "flops": held_out}]}
    plan = plan_sweep(config_from_mapping(mapping))
    can = answerable(plan)
    records = records_of(plan)
    assert (can.held_out.refusal is not None) is is_far
    made = forecast_held_out(records, options=QUICK)
    assert (first_of(LimitCode.UNSUPPORTED, made.targets[0].limits) is not None) is is_far
    assert ("only an order of magnitude will be checked" in answers_text(can)) is is_far
    nothing = answerable(plan_sweep(config_from_mapping(mapping | {"held_out": []})))
    assert nothing.held_out is None


def test_a_plan_says_where_no_seed_is_repeated(planned):
    plan, can, _ = planned
    assert bool(can.repeated) == (len(plan.config.grid.seed) > 1)
    assert ("noise of a run will be guessed" in answers_text(can)) == (not can.repeated)


def test_cells_that_all_but_repeat_another_are_named_with_what_they_cost():
    mapping = {"name": "p", "data": {"source": "markov", "symbols": 16, "validation_windows": 4}}
    mapping |= {"model": {"head_size": 8, "context": 64}, "recipe": {"name": "cpt-adamw-tiny/1"}}
    grid = {"width": 32, "tokens": [500_000, 1_000_000, 1_020_000, 1_500_000], "seed": [1, 2]}
    plan = plan_sweep(config_from_mapping({**mapping, "grid": grid}))
    can = answerable(plan)
    (near,) = can.near_duplicates
    assert (near.width, near.runs) == (32, 2)
    assert near.tokens < near.beside < 1.05 * near.tokens
    assert near.flops == sum(run.train_flops for run in plan.runs if run.tokens == near.tokens)
    assert "1 cell can be left out" in answers_text(can)


def test_no_cell_of_a_spaced_ladder_can_be_left_out(planned):
    assert planned[1].near_duplicates == ()
