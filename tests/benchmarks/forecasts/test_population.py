"""Facts about the benchmark over published studies: what it hides, and what counts how much."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from benchmarks.forecasts.forecast_skill import LEVELS, Answer
from benchmarks.forecasts.population import Ladder, crps, splits, summary


def ladder(budgets, each=4, seen=True):
    flops = np.repeat(budgets, each)
    params = np.tile(np.geomspace(1e6, 1e7, each), len(budgets))
    runs = pd.DataFrame({"params": params, "tokens": flops / 6 / params, "train_flops": flops})
    return Ladder(study="s", name="n", runs=runs.assign(loss=3.0, seen=seen))


def test_every_distance_hides_the_same_runs_and_all_that_lie_between():
    found = dict(splits(ladder(10.0 ** np.arange(15, 18.1, 0.5))))
    assert list(found) == ["one budget", "half a decade", "one decade", "the furthest"]
    for distance, gap in (("half a decade", 0.5), ("one decade", 1.0), ("the furthest", 2.0)):
        split = found[distance]
        assert set(np.log10(split.hidden["train_flops"]).round(6)) == {18.0}
        highest = np.log10(split.seen.column("train_flops").max())
        assert highest == pytest.approx(18 - gap), distance


def test_runs_that_come_in_no_budgets_have_no_distance_of_one_budget():
    assert "one budget" not in dict(splits(ladder(10.0 ** np.arange(15, 18.1, 0.1), each=1)))


def test_targets_of_the_study_are_never_fitted():
    both = ladder(10.0 ** np.arange(15, 18.1, 0.5))
    only_small = both.runs["train_flops"] < 5e16
    both = Ladder(study="s", name="n", runs=both.runs.assign(seen=only_small))
    for _, split in splits(both):
        assert split.seen.column("train_flops").max() < 5e16


def test_a_study_of_many_ladders_counts_as_one_of_few():
    rows = [
        {"study": study, "distance": "one decade", "split": f"{study} {number}", "method": "auto",
         "error": error}
        for study, number, error in (("a", 1, 1.0), ("a", 2, 1.0), ("a", 3, 1.0), ("b", 1, 3.0))
    ]  # fmt: skip
    table = summary(rows)
    assert table.loc[("auto", "one decade"), "error"] == 2.0
    assert table.loc[("auto", "one decade"), "studies"] == 2
    assert table.loc[("auto", "all distances"), "error"] == 2.0
    rows.append(rows[0] | {"method": "other", "refused": "no"})
    assert summary(rows).loc[("auto", "one decade"), "error"] == 2.0


def test_the_ranked_probability_score_is_that_of_the_distribution_and_least_for_the_true_one():
    """Normal predictions: the closed form is sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi));
    nine quantiles give it within 5%."""
    rng = np.random.default_rng(1)
    measured = 1 + 0.1 * rng.normal(size=4000)
    tails = (1 - np.array(LEVELS)) / 2

    def score(sigma):
        low, high = (1 + sigma * norm.ppf(side) for side in (tails, 1 - tails))
        shape = (len(measured), len(LEVELS))
        answer = Answer(
            centre=np.ones(len(measured)),
            low=np.broadcast_to(low, shape),
            high=np.broadcast_to(high, shape),
        )
        return crps(answer, measured)

    z = (measured - 1) / 0.1
    exact = 0.1 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert score(0.1) == pytest.approx(100 * float(np.mean(exact / measured)), rel=0.05)
    assert score(0.1) < min(score(0.05), score(0.2))
