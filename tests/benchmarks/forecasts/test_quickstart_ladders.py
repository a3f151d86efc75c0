"""Facts about the quick start's ladders: which are whole, how they are scored, what is trained."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.forecasts import quickstart_ladders
from benchmarks.forecasts.quickstart_ladders import (
    FAR_FLOPS,
    TABLE,
    Scored,
    far_runs,
    ladder,
    planned,
    scored,
    summary,
    train,
    whole_ladders,
)

CELLS = [(32, 3e10), (32, 6e10), (48, 6e10), (32, 1.2e11), (48, 1.2e11), (48, 2.4e11), (64, 2.4e11)]
OTHERS = ("cpt-adamw-tiny/1 weight_decay_factor=1", "cpt-adamw-tiny/2 schedule=wsd")
SMALL = """
name: quickstart
cells: [{width: 16, flops: [2e8, 4e8]}]
held_out: [{width: 16, flops: 8e8}]
model: {head_size: 16, context: 64}
recipe: {name: cpt-adamw-tiny/3}
"""


def law(params, tokens):
    return 1.0 + 20 / params**0.4 + 100 / tokens**0.45


def made_up(seeds, beyond=law):
    """Ladders of two seeds each on a law, and their held-out and far runs on another."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in seeds:
        cells = [*CELLS, *([(64, 8e11)] if seed % 2 else [])]
        for width, flops in [*cells, *([(96, 2.4e12)] if seed == 1 else [])]:
            params = 12 * width**2 + 512 * width
            tokens = flops / (5 * params)
            held_out = flops > 3e11
            loss = (beyond if held_out else law)(params, tokens) * np.exp(rng.normal(0, 0.002))
            rows.append((f"{width}.{flops}.{seed}", seed, params, tokens, flops, loss, held_out))
    names = ["run_id", "seed", "params", "tokens", "train_flops", "loss", "held_out"]
    return pd.DataFrame(rows, columns=names)


def test_ladders_of_a_law_are_predicted_and_a_bias_is_seen():
    near, far = scored(made_up([1, 2, 3, 4]))
    assert [row.seeds for row in near] == [(1, 2), (3, 4)] == [row.seeds for row in far]
    assert {row.held_out_seed for row in near} == {1, 3}
    assert {row.held_out_seed for row in far} == {1}
    assert abs(summary(near)["mean_error"]) < 1 < summary(far)["mean_width"]
    assert [round(row.decades, 1) for row in far] == [1.0, 1.0]
    lower, _ = scored(made_up([1, 2, 3, 4], beyond=lambda *size: 0.97 * law(*size)))
    gained = summary(lower)["mean_error"] - summary(near)["mean_error"]
    assert gained == pytest.approx(3, abs=0.2)


def test_a_ladder_that_lacks_a_run_is_not_scored():
    table = made_up([1, 2, 3, 4])
    assert [pair for pair, _ in whole_ladders(table[1:])] == [(3, 4)]
    without = table[~((table.seed == 3) & table.held_out)]
    assert [pair for pair, _ in whole_ladders(without)] == [(1, 2)]


def test_a_summary_counts_what_its_rows_say():
    row = dict(seeds=(1, 2), held_out_seed=1, decades=0.5, low=0.99, high=1.02)
    rows = [Scored(predicted=1.0, measured=0.98, **row), Scored(predicted=1.0, measured=1.0, **row)]
    found = summary(rows)
    assert found["inside"] == 1 and found["ladders"] == 2
    assert found["mean_error"] == pytest.approx(found["median_absolute_error"])
    assert found["mean_width"] == pytest.approx(3)
    assert "outside" in rows[0].line and "outside" not in rows[1].line


def test_training_goes_on_where_the_table_ends(tmp_path, monkeypatch):
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr(quickstart_ladders, "CONFIG", tmp_path / "small.yaml")
    runs, table = planned([(1, 2), (3, 4)]), tmp_path / "runs.csv"
    assert len(runs) == 10
    train(table, runs)
    whole = pd.read_csv(table)
    assert set(whole.run_id) == {run.run_id for run in runs} and whole.held_out.sum() == 2
    whole.iloc[:6].to_csv(table, index=False)
    train(table, runs)
    again = pd.read_csv(table)
    assert np.allclose(again.loss.sort_values(), whole.loss.sort_values())


def test_a_ladder_is_what_the_quick_start_plans_for_its_seeds():
    runs = planned([(5, 6)])
    assert len(runs) == 17 and [run.seed for run in runs if run.held_out] == [5]
    (far,) = far_runs([5])
    assert far.held_out and far.train_flops > FAR_FLOPS > max(run.train_flops for run in runs)


def test_the_table_in_the_repository_has_whole_ladders_that_the_config_would_train():
    table = pd.read_csv(TABLE)
    assert table.run_id.is_unique and np.isfinite(table.loss).all()
    assert set(table.recipe) == {"cpt-adamw-tiny/3", *OTHERS}
    for recipe, of_recipe in table.groupby("recipe"):
        ladders = list(whole_ladders(of_recipe))
        assert len(ladders) >= 10
        (pair, runs), *_ = ladders
        plans = planned([pair], recipe)
        assert len(runs) == len(plans) == 17
        assert sorted(runs.train_flops) == sorted(run.train_flops for run in plans)


def test_a_recipe_with_constants_replaced_is_named_by_them():
    (half,) = [name for name in OTHERS if "weight_decay" in name]
    config = ladder([1, 2], half)
    assert config.recipe.name == "cpt-adamw-tiny/1"
    assert config.recipe.overrides == {"weight_decay_factor": 1}
    assert {run.recipe for run in planned([(1, 2)], half)} == {"cpt-adamw-tiny/1"}
