"""How well a run's end is told from its curve: the runs of the zoo, each from the others.

    python -m benchmarks.forecasts.unfinished_runs [--table FILE] [--curves FILE]
    python -m benchmarks.forecasts.unfinished_runs --train

Each run of a whole ladder is cut at a share of its steps and forecast from there by the curves and
losses of the other runs of its ladder, held-out ones among them. Errors and widths of 90% intervals
in percent of the loss. Beside the zoo stands a ladder of one ratio of tokens to parameters, which
`--train` trains and which was measured on part of the validation set while it trained
(`launch.validation`); it is read with that curve and without.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.forecasting.unfinished_runs import forecast_running
from benchmarks.forecasts.zoo import COLUMNS, CURVES, EXAMPLES, TABLE, thinned
from benchmarks.forecasts.zoo_ladders import Ladder
from sweeps.config.sweep import Grid, SweepConfig
from sweeps.data.registry import load_corpus
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.training.pack import CurvePoint, settle_process, train_pack

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
FEWEST = 11  # runs of a ladder: nine fitted and two held out
RATIO_TABLE, RATIO_CURVES = EXAMPLES / "one_ratio.csv", EXAMPLES / "one_ratio_curves.csv"
RATIO, SEEDS, COST = 40.0, (1, 2, 3), 0.02
CHUNK = 4.0  # steps by which a chunk of five may end after a share of a run
SHAPES = (((8, 16, 24), (1,)), ((8, 16), (2,)))  # widths, depths
TUNED = "cpt-adamw-tiny/3"


def one_ratio() -> SweepConfig:
    """A ladder of so many tokens a parameter throughout, by the recipe that is tuned for it."""
    cells = tuple(
        Grid(width=widths, depth=depths, tokens_per_param=(RATIO,), seed=SEEDS)
        for widths, depths in SHAPES
    )
    config = Ladder(recipe=TUNED).config()
    launch = config.launch.changed(validation={"cost": COST})
    return config.changed(cells=cells, held_out=(), launch=launch)


def train(table: Path, curves: Path) -> None:
    """Train the ladder of one ratio, and write its runs and their curves."""
    settle_process(threads=1)
    config = one_ratio()
    corpus = load_corpus(config.data, config.model.context)
    rows, points = [], []
    for pack in pack_runs(plan_sweep(config).runs, config.launch):
        for run, found in train_pack(pack, corpus, config.launch).items():
            rows.append({"run_id": run.run_id, **run.facts(), **found.record(run)})
            points.append(thinned(run, found.points).merge(_measured(found.points), "left", "step"))
            print(f"{run.name}: {found.loss:.4f}", flush=True)
    kept = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    kept.insert(0, "ladder", "one ratio")
    kept.to_csv(table, index=False)
    pd.concat(points).to_csv(curves, index=False)


def _measured(points: Sequence[CurvePoint]) -> pd.DataFrame:
    """The validation losses of a curve, by step."""
    found = [(p.step, round(p.validation_loss, 4)) for p in points if p.validation_loss is not None]
    return pd.DataFrame(found, columns=["step", "validation_loss"])


def outcomes(
    runs: pd.DataFrame, curves: pd.DataFrame, slack: float = 0.0
) -> Iterator[dict[str, object]]:
    """A row for every run and share at which it has a forecast; a run is looked at up to ``slack``
    steps later, at the end of the chunk in which it reached the share."""
    facts = runs.set_index("run_id")
    steps, sizes = facts["steps"].astype(int).to_dict(), facts["params"].astype(float).to_dict()
    points = curves[curves["run_id"].isin(facts.index)]
    planned = points["run_id"].map(steps)
    for run_id, loss in facts["loss"].items():
        others = {other: float(v) for other, v in facts["loss"].items() if other != run_id}
        for share in SHARES:
            seen = points[
                (points["run_id"] != run_id) | (points["step"] <= share * planned + slack + 1e-9)
            ]
            told = forecast_running(seen, steps, others, params=sizes).get(str(run_id))
            if told is None:
                continue
            yield {
                "run_id": run_id,
                "share done": share,
                "error": 100 * abs(told.predicted / loss - 1),
                "within 1%": abs(told.predicted / loss - 1) < 0.01,
                "in 90%": told.low <= loss <= told.high,
                "width": 100 * float(np.log(told.high / told.low)),
                "off the curve": told.off_curve is not None,
            }


def main(argv: Sequence[str] | None = None) -> None:
    """Print means over all runs by the share that was done."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--table", type=Path, default=TABLE, help="of runs")
    parser.add_argument("--curves", type=Path, default=CURVES, help="of their training losses")
    parser.add_argument("--train", action="store_true", help="the ladder of one ratio")
    arguments = parser.parse_args(argv)
    if arguments.train:
        train(RATIO_TABLE, RATIO_CURVES)
        return
    curves = pd.read_csv(arguments.curves)
    rows = [
        row
        for _, runs in pd.read_csv(arguments.table).groupby("ladder", sort=False)
        if len(runs) >= FEWEST
        for row in outcomes(runs, curves)
    ]
    show("the zoo", rows)
    if RATIO_TABLE.exists():
        runs, measured = pd.read_csv(RATIO_TABLE), pd.read_csv(RATIO_CURVES)
        trained = measured.drop(columns="validation_loss")
        show("one ratio, training losses", list(outcomes(runs, trained, CHUNK)))
        show("one ratio, validation losses too", list(outcomes(runs, measured, CHUNK)))


def show(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Print means by the share that was done."""
    table = pd.DataFrame(rows).drop(columns="run_id").astype(float)
    by = table.groupby("share done")
    print(f"{title}\n{by.mean().join(by.size().rename('runs')).round(3).to_string()}\n")


if __name__ == "__main__":
    main()
