"""Facts about the zoo of own ladders: what is hidden, which half may choose, what is stored."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.forecasts import zoo
from benchmarks.forecasts.unfinished_runs import outcomes
from benchmarks.forecasts.zoo_ladders import FACTORS, LADDERS
from sweeps.config.launch import ValidationConfig
from sweeps.training.pack import CurvePoint


def runs_of(name, ladder, missing=0):
    """A table of a whole ladder with made-up losses, its held-out runs behind the fitted ones."""
    config = ladder.config()
    cells = [(cell, False) for cell in config.cells] + [(one, True) for one in config.held_out]
    rows = [
        {"train_flops": flops, "width": cell.width[0], "seed": seed, "held_out": held_out}
        for cell, held_out in cells
        for flops in cell.flops
        for seed in cell.seed
    ][missing:]
    table = pd.DataFrame(rows).assign(ladder=name, params=lambda t: 100.0 * t["width"] ** 1.5)
    table["tokens"] = table["train_flops"] / 6 / table["params"]
    return table.assign(
        loss=lambda t: 1 + 3 * t["train_flops"] ** -0.05, loss_kind="nats_per_token"
    )


@pytest.fixture(scope="module")
def table():
    return pd.concat([runs_of(name, ladder) for name, ladder in LADDERS.items()])


def test_halves_alternate_and_every_third_ladder_reaches_furthest(table):
    found = [(half, distance, split.name) for half, distance, split in zoo.splits(table)]
    names = {name.rsplit(", ", 1)[0] for _, _, name in found}
    assert names == set(LADDERS) and len(names) >= 20
    halves = [half for half, distance, _ in found if distance == "3x"]
    assert halves[::2] == [zoo.CHOOSING] * len(halves[::2])
    assert halves[1::2] == [zoo.SCORING] * len(halves[1::2])
    furthest = sum(distance == "30x" for _, distance, _ in found)
    assert len(names) / 5 < furthest < len(names) / 2


def test_a_held_out_run_is_never_seen_and_lies_as_far_as_it_says(table):
    for _, distance, split in zoo.splits(table):
        seen, hidden = split.seen.column("train_flops").max(), split.hidden["train_flops"]
        assert split.hidden["held_out"].all()
        assert float(hidden.iloc[0] / seen) == pytest.approx(float(distance[:-1]), rel=1e-6)


def test_a_ladder_without_all_its_fitted_runs_is_none():
    name, ladder = next(iter(LADDERS.items()))
    assert list(zoo.splits(runs_of(name, ladder)))
    assert not list(zoo.splits(runs_of(name, ladder, missing=1)))


def test_ladders_of_known_entropy_hide_all_that_cost_more_than_the_distance_allows():
    entropy = pd.read_csv(zoo.known_entropy.TABLE)
    for _, distance, split in zoo.entropy_splits(entropy):
        ratio = split.hidden["train_flops"].min() / split.seen.column("train_flops").max()
        assert ratio > float(distance[:-1]) / 1.06, split.name


def test_the_stored_table_is_of_these_ladders_and_its_curves_of_these_runs():
    stored, curves = pd.read_csv(zoo.TABLE), pd.read_csv(zoo.CURVES)
    assert set(stored["ladder"]) <= set(LADDERS)
    assert stored["run_id"].is_unique
    assert set(curves["run_id"]) == set(stored["run_id"])
    measured = ValidationConfig().evaluations  # points that are kept beside
    assert curves.groupby("run_id").size().max() <= zoo.MOST_POINTS + measured
    assert {f"{factor}x" for factor in FACTORS} >= {d for _, d, _ in zoo.splits(stored)}


@pytest.mark.parametrize("points", [7, 40, 41, 103])
def test_a_thinned_curve_keeps_the_mean_of_all_steps(points):
    class Run:
        run_id = "r"

    losses = np.random.default_rng(points).uniform(1, 3, points)
    steps = 5 * np.arange(1, points + 1)
    steps[-1] -= 2  # the last stretch is shorter
    curve = [
        CurvePoint(step=int(s), tokens=0, loss=float(v), learning_rate=0.0)
        for s, v in zip(steps, losses, strict=True)
    ]
    kept = zoo.thinned(Run(), curve)
    assert len(kept) <= zoo.MOST_POINTS and kept["step"].iloc[-1] == steps[-1]
    whole = np.average(losses, weights=np.diff(np.append(0, steps)))
    thin = np.average(kept["train_loss"], weights=np.diff(np.append(0, kept["step"])))
    assert thin == pytest.approx(whole, abs=1e-4)  # losses are stored in four decimals


def test_a_run_is_forecast_from_the_others_of_its_ladder_alone():
    stored, curves = pd.read_csv(zoo.TABLE), pd.read_csv(zoo.CURVES)
    runs = stored[stored["ladder"] == "code, rate x 0.3"]
    rows = pd.DataFrame(outcomes(runs, curves))
    assert set(rows["run_id"]) == set(runs["run_id"])
    told = rows[rows["run_id"] == runs["run_id"].iloc[0]]
    changed = runs.assign(loss=np.where(np.arange(len(runs)) == 0, 99.0, runs["loss"]))
    again = pd.DataFrame(outcomes(changed, curves))
    again = again[again["run_id"] == runs["run_id"].iloc[0]]
    assert list(told["width"]) == list(again["width"])  # its own loss moves nothing of its forecast
