"""Facts about splitting a budget."""

import dataclasses

import numpy as np
import pytest

from analysis.decisions.allocation import allocate
from scaling.errors import ForecastError
from scaling.laws.curves import PowerLaw
from scaling.laws.farseer import Farseer
from scaling.laws.surfaces import Chinchilla, DataConstrained

LAW, REPEATS = Chinchilla.example(), DataConstrained.example()


def test_without_inference_it_is_the_closed_form():
    best = allocate(LAW, 1e21)
    assert best.params == pytest.approx(LAW.optimal_params(1e21))
    assert 6 * best.params * best.tokens == pytest.approx(1e21)
    assert best.loss == pytest.approx(LAW.loss(best.params, best.tokens))


@pytest.mark.parametrize("tokens_to_serve", [0.0, 1e11])
def test_a_law_without_a_closed_form_is_split_where_no_neighbour_is_better(tokens_to_serve):
    law = Farseer.example()
    best = allocate(law, 1e21, inference_tokens=tokens_to_serve)
    for factor in (0.9, 1.1):
        params = best.params * factor
        tokens = (1e21 - 2 * params * tokens_to_serve) / (6 * params)
        assert law.loss(params, tokens) > best.loss


def test_a_law_that_would_spend_all_on_one_input_is_refused():
    runaway = dataclasses.replace(Farseer.example(), e=0.0, b=-0.5, a=0.0, gamma=0.0, alpha=0.0)
    with pytest.raises(ForecastError, match="farseer finds no split of 1e\\+21 FLOP best"):
        allocate(runaway, 1e21)


def test_the_search_finds_the_closed_form_when_inference_is_negligible():
    searched = allocate(LAW, 1e21, inference_tokens=1.0)
    assert searched.params == pytest.approx(LAW.optimal_params(1e21), rel=1e-6)  # flat minimum


def test_serving_more_tokens_asks_for_a_smaller_model_trained_longer():
    sizes = [allocate(LAW, 1e21, inference_tokens=t) for t in (0, 1e10, 1e11, 1e12)]
    assert (np.diff([a.params for a in sizes]) < 0).all()
    assert (np.diff([a.tokens_per_param for a in sizes]) > 0).all()
    assert (np.diff([a.loss for a in sizes]) > 0).all()


def test_training_and_inference_together_spend_the_budget():
    best = allocate(LAW, 1e21, inference_tokens=1e11)
    assert best.train_flops + 2 * best.params * 1e11 == pytest.approx(1e21, rel=1e-12)


def test_limited_data_ask_for_a_smaller_model_with_repeats():
    free, limited = allocate(REPEATS, 1e22), allocate(REPEATS, 1e22, unique_tokens=1e10)
    assert limited.params < free.params
    assert limited.tokens > 1e10
    assert limited.loss > free.loss


def test_ample_data_are_no_limit():
    free, ample = allocate(REPEATS, 1e21), allocate(REPEATS, 1e21, unique_tokens=1e13)
    assert ample.params == pytest.approx(free.params, rel=1e-5)  # flat minimum


def test_draws_are_allocated_one_by_one():
    e = np.array([1.6, 1.7, 1.8])
    draws = Chinchilla(E=e, A=np.array([300.0, 400.0, 500.0]), B=410.0, alpha=0.34, beta=0.28)
    best = allocate(draws, 1e21, inference_tokens=1e11)
    assert best.params.shape == best.loss.shape == (3,)
    alone = allocate(Chinchilla(1.7, 400.0, 410.0, 0.34, 0.28), 1e21, inference_tokens=1e11)
    assert best.params[1] == pytest.approx(alone.params)


@pytest.mark.parametrize(
    ("match", "law", "options"),
    [
        ("does not tell size from data", PowerLaw.example(), {}),
        ("counts a repeated token like a fresh one", LAW, {"unique_tokens": 1e9}),
        ("give zero or more", LAW, {"inference_tokens": -1.0}),
    ],
)
def test_a_question_that_a_law_cannot_answer_is_refused(match, law, options):
    with pytest.raises(ForecastError, match=match):
        allocate(law, 1e21, **options)


def test_a_budget_must_be_positive():
    with pytest.raises(ForecastError, match="a budget of 0"):
        allocate(LAW, 0)
