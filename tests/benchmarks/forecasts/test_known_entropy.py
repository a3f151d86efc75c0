"""Facts about ladders on sources of known entropy: what is scored, and that training goes on."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.forecasts import known_entropy
from benchmarks.forecasts.known_entropy import (
    BOUND,
    GRID,
    SEVERAL,
    Ladder,
    ladders,
    scored,
    summary,
    train,
    whole_ladders,
)
from sweeps.config.data import MarkovData
from sweeps.config.sweep import Grid

NAME = next(iter(ladders()))


def runs_of(law, held_back=2.0, entropy=2.01):
    """A ladder whose losses a law gives, with the columns that the table has."""
    sizes = [(w, d, s) for w in (1e3, 4e3, 1e4, 4e4) for d in GRID.tokens for s in (1, 2)]
    table = pd.DataFrame(sizes, columns=["params", "tokens", "seed"])
    noise = np.random.default_rng(0).normal(0, 5e-4, len(table))
    table["train_flops"] = 6 * table["params"] * table["tokens"]
    table["loss"] = law(table["params"], table["tokens"]) * np.exp(noise)
    return table.assign(
        ladder=NAME, loss_stderr=0.003, entropy=entropy, held_back_entropy=held_back
    )


def test_floors_that_hold_the_least_loss_are_counted_for_both_entropies():
    runs = runs_of(lambda n, d: 2.0 + 20 / n**0.6 + 60 / d**0.5)
    row = scored(NAME, runs)
    assert row.holds("chinchilla") and row.holds(SEVERAL)
    assert row.below == pytest.approx(((2.01 - runs["loss"]) / 0.003).max())
    found = summary([row])
    assert found["chinchilla"] == {"told": 1, "covered": 1, "covered_over_all_sequences": 0}
    assert found["below_by_three_standard_errors"] == (row.below > 3)


def test_losses_that_do_not_fall_tell_no_more_than_that_the_floor_lies_below_them():
    runs = runs_of(lambda n, d: 2.001 + 0 * n)
    row = scored(NAME, runs)
    assert row.floors == {BOUND: (0, runs["loss"].min())} and BOUND in row.line
    found = summary([row])
    assert found[SEVERAL]["told"] == found["chinchilla"]["told"] == 0
    assert found[BOUND]["told"] == 1


def test_training_goes_on_where_the_table_ends(tmp_path, monkeypatch):
    data = MarkovData(order=1, symbols=4)
    small = {NAME: Ladder(data, Grid(width=(8,), depth=(1,), tokens=(4e3, 8e3), seed=(1, 2)))}
    monkeypatch.setattr(known_entropy, "WINDOWS", 64)
    table = tmp_path / "runs.csv"
    train(table, small)
    whole = pd.read_csv(table)
    assert len(whole) == 4 and whole["held_back_entropy"].nunique() == 1
    whole.iloc[:2].to_csv(table, index=False)
    train(table, small)
    again = pd.read_csv(table)
    assert np.allclose(again["loss"].sort_values(), whole["loss"].sort_values(), rtol=1e-9)
    assert set(again["run_id"]) == set(whole["run_id"])


def test_the_table_in_the_repository_is_whole():
    table = pd.read_csv(known_entropy.TABLE)
    assert [name for name, _ in whole_ladders(table)] == list(ladders())
    assert ((table["entropy"] - table["loss"]) / table["loss_stderr"]).max() < 3


def test_longer_runs_come_within_a_hundredth_of_every_source():
    longer = pd.read_csv(known_entropy.TABLE.with_name("known_entropy_longer.csv"))
    assert set(longer["ladder"]) == set(known_entropy.longer_ladders())
    every = pd.concat([pd.read_csv(known_entropy.TABLE), longer])
    over = every["loss"] / every["held_back_entropy"] - 1
    assert over.groupby(every["entropy"].round(6)).min().max() < 0.01
