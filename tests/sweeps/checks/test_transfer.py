"""Facts about the check of transfer: where the best rate lies, and in which directions."""

import dataclasses
import math

import numpy as np
import pytest

from sweeps.checks.transfer import FACTORS, best_rate, check_transfer


@pytest.mark.parametrize("optimum", [-1.0, 0.0, 0.4, 5.0])
def test_the_best_rate_is_that_of_the_parabola_and_never_outside(optimum):
    losses = 2 + 0.1 * (np.log(FACTORS) - optimum) ** 2
    assert best_rate(losses) == pytest.approx(min(optimum, math.log(FACTORS[-1])))


def test_optima_of_learning_rates_are_looked_at_with_more_seeds_until_they_decide(
    bench, monkeypatch
):
    """Losses whose optimum lies at the rule's rate, and at 2.7 times it for the deep."""
    asked = []

    def losses(bench, width, depth, seeds):
        asked.append((width, depth, tuple(seeds)))
        optimum = float(depth == bench.depths[-1])
        noise = 0.1 * (-1.0) ** np.array(seeds)[:, None] * (width == bench.widths[0])
        return 2 + 0.1 * (np.log(FACTORS) - optimum - noise) ** 2

    monkeypatch.setattr("sweeps.checks.transfer.losses_over_rates", losses)
    looks = ((1, 2), (3, 4, 5))
    over_width, over_depth = check_transfer(dataclasses.replace(bench, looks=looks))
    assert over_width.verdict == "pass"
    assert over_depth.verdict == "FAIL"
    assert over_depth.measured == pytest.approx(1.0)
    assert {seeds for *_, seeds in asked} == {(1, 2), (3, 4, 5)}


def test_a_family_of_one_depth_is_not_said_to_keep_its_rate_over_depth(linear, monkeypatch):
    flat = np.tile(2 + 0.1 * np.log(FACTORS) ** 2, (2, 1))
    monkeypatch.setattr("sweeps.checks.transfer.losses_over_rates", lambda *_: flat)
    over_width, over_depth = check_transfer(linear)
    assert over_width.verdict == "pass"
    assert over_depth.verdict == "skipped"
    assert "models of this family all have depth 1" in over_depth.detail
