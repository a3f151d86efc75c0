"""The linear language model: what every family keeps, and that training finds its optimum."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from scaling.errors import ConfigError
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.models.linear_lm.family import LinearFamily
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import plan_text
from sweeps.training.plain_loop import train_plainly
from sweeps.training.stack import build_model
from tests.conformance.family import FamilyContract

SYMBOLS = 4


class TestLinearFamily(FamilyContract):
    family = LinearFamily()
    sizes = [({"context": 24}, 12, 1, 33), ({"context": 1}, 32, 1, 96), ({"context": 8}, 8, 1, 9)]


def mapping(**changes):
    return {
        "name": "linear",
        "grid": {"width": 8, "tokens": 60_000},
        "model": {"family": "linear_lm/1", "context": 3},
        "data": {"source": "markov", "order": 1, "symbols": SYMBOLS, "validation_windows": 64},
        "recipe": {"overrides": {"base_batch_tokens": 8192, "z_loss": 0}},
        "launch": {"device": "cpu"},
    } | changes


def population(corpus, context):
    """Every window of the chain, (windows, context + 1), and how often it comes."""
    chain = corpus.chain
    start, rows = chain.starts / chain.starts.sum(), chain.rows / chain.rows.sum(axis=1)[:, None]
    windows = np.array(list(itertools.product(range(SYMBOLS), repeat=context + 1)))
    chances = start[windows[:, 0]] * rows[windows[:, :-1], windows[:, 1:]].prod(axis=1)
    return windows, chances


def convex_optimum(windows, chances):
    """The least mean loss of logits that are linear in the mean of one-hot tokens: multinomial
    logistic regression, which has one optimum, solved with exact gradients to 1e-9."""
    one_hot = np.eye(SYMBOLS)[windows]
    context = windows.shape[1] - 1
    means = one_hot[:, :-1].cumsum(axis=1) / np.arange(1, context + 1)[:, None]
    features, targets = means.reshape(-1, SYMBOLS), one_hot[:, 1:].reshape(-1, SYMBOLS)
    weights = np.repeat(chances, context)[:, None] / context

    def loss(table):
        log_p = log_softmax(features @ table.reshape(SYMBOLS, SYMBOLS), axis=1)
        gradient = features.T @ (weights * (np.exp(log_p) - targets))
        return -(weights * targets * log_p).sum(), gradient.ravel()

    found = minimize(loss, np.zeros(SYMBOLS**2), jac=True, method="BFGS", options={"gtol": 1e-9})
    return found.fun


@pytest.mark.parametrize("context", [1, 3])
def test_its_loss_on_a_bigram_source_is_the_optimum_that_a_convex_solver_finds(context):
    model = {"family": "linear_lm/1", "context": context}
    config = config_from_mapping(mapping(model=model))
    (run,) = plan_sweep(config).runs
    corpus = load_corpus(config.data, context)
    windows, chances = population(corpus, context)
    optimum = convex_optimum(windows, chances)
    trained = build_model(run)
    trained.hold(train_plainly([run], corpus).weights)
    with torch.no_grad():
        log_p = trained(torch.from_numpy(windows[None, :, :-1])).log_softmax(-1)
    targets = torch.from_numpy(windows[:, 1:]).reshape(1, -1, 1)
    losses = -log_p.gather(-1, targets).view(-1, context).mean(dim=1)
    loss = float(losses.double() @ torch.from_numpy(chances))
    # Asked for: within 1e-3. It cannot lie below by more than float32 rounding.
    assert -1e-6 < loss - optimum < 1e-3
    entropy = corpus.facts.entropy
    if context == 1:  # the bigram limit: the model is the source's own table
        assert optimum == pytest.approx(entropy, abs=1e-6)
    else:  # a mean does not tell the last token from those before it
        assert optimum > entropy + 0.01


@pytest.mark.parametrize("name", ["head_size", "tied_head", "mlp", "rotary_base"])
def test_settings_of_a_transformer_are_refused(name):
    value = {"head_size": 8, "tied_head": True, "mlp": "swiglu", "rotary_base": 100}[name]
    model = {"family": "linear_lm/1", "context": 3, name: value}
    with pytest.raises(
        ConfigError, match=f'model.{name} is not used by model.family "linear_lm/1"'
    ):
        plan_sweep(config_from_mapping(mapping(model=model)))


def test_blocks_are_refused_and_the_plan_says_which_rules_hold():
    with pytest.raises(ConfigError, match='depth is 2; model.family "linear_lm/1" has no blocks'):
        plan_sweep(config_from_mapping(mapping(grid={"width": 8, "depth": 2, "tokens": 6000})))
    plan = plan_sweep(config_from_mapping(mapping()))
    assert plan.runs[0].facts()["weight_decay"] == 0
    assert "linear_lm/1: the learning rate's rule for width holds" in plan_text(plan)
    assert "tokens were measured on the decoder alone" in plan_text(plan)
    assert math.isfinite(plan.process_seconds)
