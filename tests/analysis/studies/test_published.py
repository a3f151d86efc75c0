"""Facts about published findings on one's own runs: simulated truths come back, and where runs
cannot tell, that is said."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import published_findings
from analysis.studies.published.finding import PublishedValue, scatter_of
from analysis.studies.published.growth import BATCH, SIZE
from analysis.studies.published.shape import DIFFERENCE, TREND
from analysis.studies.published.steps import STEPS as STEPS_TO
from analysis.studies.published.steps import TOKENS as TOKENS_TO
from scaling import simulate_records
from scaling.extra_columns.recipe_arms import Arm, Factors, arms_text
from scaling.limits import LimitCode

SHAPES = ((4, 1024), (8, 724), (16, 512))  # depth, width: of about one size


def shapes(truth, trend, seed=1, noise=0.003):
    """Three shapes of every cell of an IsoFLOP grid, two seeds; the loss changes by ``trend`` with
    twice the width over depth."""
    rng, rows = np.random.default_rng(seed), []
    for flops in (1e18, 1e19, 1e20):
        for size in (0.5, 1.0, 2.0):
            params = size * float(truth.optimal_params(flops))
            tokens = flops / 6 / params
            for depth, width in SHAPES:
                off = trend * np.log2(width / depth / 90)
                for run in (1, 2):
                    loss = float(truth.loss(params, tokens)) * np.exp(off + rng.normal(0, noise))
                    rows.append((params, tokens, flops, width, depth, run, loss))
    names = ["params", "tokens", "train_flops", "width", "depth", "seed", "loss"]
    return pd.DataFrame(rows, columns=names)


def ladder(truth, batch=4096.0):
    """Three sizes, each on six lengths that pass common losses; without noise."""
    sizes = np.repeat([1e8, 2e8, 4e8], 8)
    tokens = np.tile(np.geomspace(1e9, 1e11, 8), 3)
    return simulate_records(truth, {"params": sizes, "tokens": tokens}).table.assign(
        batch_tokens=batch
    )


def finding(found, quantity):
    (one,) = (f for f in found.findings if f.quantity == quantity)
    return one


@pytest.mark.parametrize(("trend", "differs"), [(0.0, False), (0.01, True)])
def test_shapes_that_do_not_matter_are_told_from_those_that_do(truth, trend, differs):
    found = published_findings(shapes(truth, trend))
    slope, spread = finding(found, TREND), finding(found, DIFFERENCE)
    assert slope.estimate == pytest.approx(100 * trend, abs=0.1)  # three standard errors
    assert (slope.interval.low > 0) == differs
    assert (spread.interval.low > 0.5) == differs  # shapes two doublings apart differ by 2%
    assert spread.agrees(spread.published[0])  # within Kaplan's 3%
    assert "27 shapes in 9 groups" in spread.about and found.noise_from == "repeated runs"


def test_runs_of_one_depth_or_of_no_known_shape_cannot_tell(truth):
    table = shapes(truth, 0.0)
    for changed, why in (
        (table[table.depth == 8], "one depth"),
        (table.drop(columns=["width", "depth"]).iloc[::3], "neither width nor depth"),
    ):
        one = finding(published_findings(changed), DIFFERENCE)
        assert one.estimate is None and one.interval is None
        (limit,) = one.limits
        assert limit.code is LimitCode.NO_ANSWER and why in limit.text


def test_larger_models_need_as_much_less_to_a_loss_as_the_law_says(truth):
    found = published_findings(ladder(truth))
    one = finding(found, TOKENS_TO)
    target = float(one.about.split("a loss of ")[1].split(",")[0])
    needed = [
        (truth.B / (target - truth.E - truth.A * n**-truth.alpha)) ** (1 / truth.beta)
        for n in (1e8, 2e8, 4e8)
    ]
    slope = np.polyfit(np.log([1e8, 2e8, 4e8]), np.log(needed), 1)[0]
    # lengths are a factor of 1.9 apart, between which ln loss is not quite a line
    assert one.estimate == pytest.approx(slope, abs=0.05) and slope < -0.1
    assert one.interval.low < slope < one.interval.high and one.agrees(one.published[0])
    steps = finding(found, STEPS_TO)  # one batch: steps go as tokens do
    assert steps.estimate == pytest.approx(one.estimate, abs=1e-9)


def test_steps_follow_the_batch_of_each_size(truth):
    table = ladder(truth)
    table["batch_tokens"] = 1000 * table["params"] ** 0.5
    found = published_findings(table)
    steps, tokens = finding(found, STEPS_TO), finding(found, TOKENS_TO)
    assert steps.estimate == pytest.approx(tokens.estimate - 0.5, abs=1e-6)


def test_exponents_are_those_of_the_law_and_stand_beside_the_papers(truth):
    found = published_findings(shapes(truth, 0.0))
    one = finding(found, SIZE)
    expected = truth.beta / (truth.alpha + truth.beta)
    assert one.estimate == pytest.approx(expected, abs=0.03)  # three standard errors of nine cells
    kaplan, first, third = one.published
    assert [one.agrees(v) for v in (kaplan, third)] == [False, False]
    assert kaplan == PublishedValue(
        text="0.73", low=0.73, high=0.73, source="Kaplan et al. 2020, arXiv:2001.08361, Eq. 1.8"
    )


def batches(truth, exponent):
    """Three budgets, each size and length in five batches around the best one."""
    rows = []
    for flops in (1e18, 1e19, 1e20):
        params = float(truth.optimal_params(flops))
        tokens = flops / 6 / params
        best = 1e5 * (flops / 1e18) ** exponent
        for factor in (0.25, 0.5, 1.0, 2.0, 4.0):
            off = 0.01 * np.log(factor) ** 2
            for seed in (1, 2):
                loss = float(truth.loss(params, tokens)) * np.exp(off + 1e-4 * (-1) ** seed)
                rows.append((params, tokens, flops, best * factor, seed, loss))
    names = ["params", "tokens", "train_flops", "batch_tokens", "seed", "loss"]
    return pd.DataFrame(rows, columns=names)


def test_the_best_batch_grows_as_it_was_made_to(truth):
    one = finding(published_findings(batches(truth, 0.3)), BATCH)
    assert one.estimate == pytest.approx(0.3, abs=0.01)
    assert one.interval.low < 0.3 < one.interval.high and not one.limits


def test_a_best_batch_at_the_end_of_what_was_tried_is_said(truth):
    table = batches(truth, 0.3)
    best = table.groupby("train_flops")["batch_tokens"].transform("median")
    one = finding(published_findings(table[table.batch_tokens >= best * 1.5]), BATCH)
    assert one.estimate is None  # two batches a budget are too few
    one = finding(published_findings(table[table.batch_tokens >= best * 0.9]), BATCH)
    assert [limit.code for limit in one.limits] == [LimitCode.TUNING_AT_EDGE]


def test_recipe_checks_tell_the_best_batch_too(truth):
    rows = []
    for place, flops in enumerate((1e18, 4e18, 1.6e19)):
        params = float(truth.optimal_params(flops))
        own, best = 65536.0, 32768.0 * 2**place
        arms = []
        for factor in (0.5, 1.0, 2.0):
            for rate in (0.56, 1.0, 1.8):
                off = 0.02 * np.log(own * factor / best) ** 2 + 0.05 * np.log(rate) ** 2
                arms.append(
                    Arm(factors=Factors(batch=factor, rate=rate), losses=(3 * np.exp(off),))
                )
        rows.append((params, flops / 6 / params, flops, own, 3.0 - place / 3, arms_text(arms)))
    names = ["params", "tokens", "train_flops", "batch_tokens", "loss", "recipe_arms"]
    one = finding(published_findings(pd.DataFrame(rows, columns=names)), BATCH)
    # the best batch doubles with four times the compute; priors hold it a little towards the rule
    assert one.estimate == pytest.approx(0.5, abs=0.1) and "3 rungs" in one.about


def test_without_repeats_the_scatter_is_taken_for_granted_and_said():
    assumed = scatter_of(np.log([3.0, 2.0, 1.5]), np.array([0, 1, 2]))
    assert assumed.sigma == 0.005 and "taken for granted" in assumed.from_where


def test_the_document_and_the_table_hold_every_quantity(truth):
    found = published_findings(shapes(truth, 0.0))
    document = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert len(document["findings"]) == len(found.to_frame()) == len(found.findings) >= 5
    for one in found.findings:
        assert one.quantity in found.to_text()
        for value in one.published:
            assert value.source in found.to_text()
