"""Facts about arms of a cell, and about tied heads from the committed ones."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.decisions.recipe_arms import arm_row, cell_run, recipe_of
from benchmarks.forecasts.quickstart_ladders import ROOT
from sweeps.config.recipe import find_recipe

NAME = "cpt-adamw-tiny/3"


def test_an_arm_is_a_recipe_with_constants_replaced():
    text = f"{NAME} base_learning_rate=0.008 schedule=linear"
    assert recipe_of(NAME) == find_recipe(NAME)
    changed = {"base_learning_rate": 0.008, "schedule": "linear"}
    assert recipe_of(text) == find_recipe(NAME, changed)
    run, own = cell_run(32, 3e10, 7, text), cell_run(32, 3e10, 7, NAME)
    row = arm_row(run, text, 3e10)
    assert (row["seed"], row["schedule"], row["base_learning_rate"]) == (7, "linear", 0.008)
    assert run.run_id != own.run_id and run.tokens == own.tokens


@pytest.mark.parametrize("width", [32, 64])
def test_a_tied_head_by_the_rule_is_no_worse_than_one_of_its_own_and_without_it_far_worse(width):
    arms = pd.read_csv(ROOT / "examples" / "tied_heads.csv")
    arms = arms[arms.width == width].set_index("seed")
    own = arms[~arms.tied_head]["loss"]
    above = {
        factor: 100 * np.log(arms[arms.tied_head & (known == factor)]["loss"] / own)
        for known in [arms.tied_logit_factor.fillna(1.0)]
        for factor in (1.0, find_recipe("cpt-adamw-tiny/4").tied_logit_factor)
    }
    without, by_rule = above.values()
    assert len(without) == len(by_rule) == 4
    assert by_rule.mean() < 0 and without.mean() > 6
