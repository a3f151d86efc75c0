"""How well a run's end is told from its curve: the runs of the zoo, each from the others.

    python -m benchmarks.unfinished_runs [--table FILE] [--curves FILE]

Each run of a whole ladder is cut at a share of its steps and forecast from there by the curves and
losses of the other runs of its ladder, held-out ones among them. Errors and widths of 90% intervals
in percent of the loss.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.forecasting.unfinished_runs import forecast_running
from benchmarks.zoo import CURVES, TABLE

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
FEWEST = 11  # runs of a ladder: nine fitted and two held out


def outcomes(runs: pd.DataFrame, curves: pd.DataFrame) -> Iterator[dict[str, object]]:
    """A row for every run and share at which it has a forecast."""
    facts = runs.set_index("run_id")
    steps, sizes = facts["steps"].astype(int).to_dict(), facts["params"].astype(float).to_dict()
    points = curves[curves["run_id"].isin(facts.index)]
    planned = points["run_id"].map(steps)
    for run_id, loss in facts["loss"].items():
        others = {other: float(v) for other, v in facts["loss"].items() if other != run_id}
        for share in SHARES:
            seen = points[(points["run_id"] != run_id) | (points["step"] <= share * planned + 1e-9)]
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
    arguments = parser.parse_args(argv)
    curves = pd.read_csv(arguments.curves)
    rows = [
        row
        for _, runs in pd.read_csv(arguments.table).groupby("ladder", sort=False)
        if len(runs) >= FEWEST
        for row in outcomes(runs, curves)
    ]
    table = pd.DataFrame(rows).drop(columns="run_id").astype(float)
    print(
        table.groupby("share done").mean().join(table.groupby("share done").size().rename("runs"))
    )


if __name__ == "__main__":
    main()
