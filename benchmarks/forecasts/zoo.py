"""A zoo of small ladders of this toolkit, and what forecasts of their hidden runs are worth.

    python -m benchmarks.forecasts.zoo [--train [SECONDS]] [--only METHOD ...] [-o FILE]

With `--train`, what the tables lack is trained, each run written as it ends; a call that was
stopped goes on, and SECONDS bounds how long a call begins further runs. Without it, of every ladder
whose fitted runs are there, the runs at 3, 10 and 30 times its largest fitted budget are forecast
from the fitted ones alone, beside the baselines of `forecast_skill`.

The ladders of `benchmarks.forecasts.known_entropy` serve again, as a group of their own: their most
expensive runs are hidden, and all that cost more than a third, a tenth or a thirtieth of them.
They were looked at when floors were fitted, and never for a forecast.

Ladders count equally within a distance and a half. A half is for choosing constants, the other for
scoring them (`half_of`); who chooses on the second has nothing left to score with.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.forecasts import known_entropy
from benchmarks.forecasts.forecast_skill import CONSTANT, SURFACE_METHODS, Split
from benchmarks.forecasts.population import row_of
from benchmarks.forecasts.zoo_ladders import FACTORS, LADDERS, Ladder
from scaling.records import Records, records_from_table
from scaling.tables.reading import Reading
from sweeps.config.sweep import SweepConfig
from sweeps.data.registry import load_corpus
from sweeps.data.tokens.bpe import train_bpe
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.pack import CurvePoint, settle_process, train_pack

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLE, CURVES = EXAMPLES / "zoo.csv", EXAMPLES / "zoo_curves.csv"
COLUMNS = (
    *("params", "params_embedding", "params_head", "tokens", "train_flops", "width", "depth"),
    *("seed", "steps", "loss", "loss_stderr", "loss_kind", "entropy", "held_out", "run_id"),
)
MOST_POINTS = 40  # of a stored curve
METHODS = ("auto", CONSTANT, "single coupled law")
CHOOSING, SCORING = "choosing", "scoring"
OWN, ENTROPY = "zoo", "known entropy"
FEWEST_SEEN, SHORTEST = 8, 0.75  # runs, and decades of compute that they span
TOP = 0.1  # decades below the most expensive run in which others are hidden as its like


def train(table: Path, curves: Path, seconds: float) -> None:
    """Train what the table lacks, pack by pack, and append each pack's runs to it: of all ladders
    first what lies within ten times the largest fitted budget."""
    settle_process(threads=1)
    end = time.monotonic() + seconds
    for furthest in (10, 30):
        for name, ladder in LADDERS.items():
            most = 1.2 * furthest * ladder.rungs.budgets[-1]
            with tempfile.TemporaryDirectory() as folder:
                config = ladder.config(_tokenizer(ladder, Path(folder)))
                if not _train_ladder(name, config, most, table, curves, end):
                    return
    print("all whole", flush=True)


def _train_ladder(
    name: str, config: SweepConfig, most: float, table: Path, curves: Path, end: float
) -> bool:
    """Whether the runs of at most so many FLOP are all there before the end. Of a ladder that the
    table has of other text (packages of another version) nothing is added."""
    known = pd.read_csv(table) if table.exists() else pd.DataFrame({"ladder": [], "run_id": []})
    done, planned = set(known["run_id"]), plan_sweep(config).runs
    if set(known.loc[known["ladder"] == name, "run_id"]) - {run.run_id for run in planned}:
        print(f"{name}: the table has it of another text; left as it is", flush=True)
        return True
    missing = [run for run in planned if run.run_id not in done and run.train_flops < most]
    corpus = load_corpus(config.data, config.model.context)
    for pack in pack_runs(missing, config.launch):
        if time.monotonic() > end:
            return False
        trained = train_pack(pack, corpus, config.launch)
        points = [thinned(run, found.points) for run, found in trained.items()]
        _append(curves, pd.concat(points))
        rows = [
            {"run_id": run.run_id, **run.facts(), **found.record(run), "steps": run.settings.steps}
            for run, found in trained.items()
        ]
        kept = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
        kept.insert(0, "ladder", name)
        _append(table, kept)
        print(f"{name}: {len(rows)} runs", flush=True)
    return True


def _tokenizer(ladder: Ladder, folder: Path) -> str | None:
    """The file of the ladder's BPE, trained anew: the same text gives the same file."""
    if ladder.vocab is None:
        return None
    path = folder / "tokenizer.json"
    train_bpe(ladder.data.files, ladder.vocab, path)
    return str(path)


def _append(path: Path, rows: pd.DataFrame) -> None:
    rows.to_csv(path, mode="a", header=not path.exists(), index=False)


def thinned(run: RunPlan, points: Sequence[CurvePoint]) -> pd.DataFrame:
    """A training curve as at most MOST_POINTS means of as many steps each, but for the last and
    where the validation loss was measured; with the learning rate of the last of these steps."""
    steps = np.array([0, *(point.step for point in points)])
    sums = np.concatenate([[0.0], np.cumsum(np.diff(steps) * [point.loss for point in points])])
    every = -(-len(points) // MOST_POINTS)
    measured = [k + 1 for k, point in enumerate(points) if point.validation_loss is not None]
    kept = np.unique([*range(0, len(points) + 1, every), *measured, len(points)])
    means = np.diff(sums[kept]) / np.diff(steps[kept])
    return pd.DataFrame(
        {
            "run_id": run.run_id,
            "step": steps[kept[1:]],
            "train_loss": means.round(4),
            "learning_rate": [float(f"{points[k - 1].learning_rate:.5g}") for k in kept[1:]],
        }
    )


def half_of(place: int) -> str:
    """Whether the ladder at this place of its list is for choosing constants or for scoring."""
    return SCORING if place % 2 else CHOOSING


def splits(table: pd.DataFrame) -> Iterator[tuple[str, str, Split]]:
    """The half, the distance and the split of every question that the ladders of the zoo can be
    asked; a ladder of which fitted runs are missing is none yet."""
    for place, (name, ladder) in enumerate(LADDERS.items()):
        runs = table[(table["ladder"] == name) & table["loss"].notna()]
        is_held_out = runs["held_out"].astype(bool)
        fitted, beyond = runs[~is_held_out], runs[is_held_out]
        if len(fitted) < sum(cell.runs for cell in ladder.config().cells):
            continue
        for factor in FACTORS:
            ratio = beyond["train_flops"] / fitted["train_flops"].max()
            hidden = beyond[np.abs(np.log(ratio / factor)) < 0.2]
            if len(hidden):
                yield half_of(place), f"{factor}x", _split(OWN, name, factor, fitted, hidden)


def entropy_splits(table: pd.DataFrame) -> Iterator[tuple[str, str, Split]]:
    """The same of the ladders of known entropy, by what they cost."""
    for place, (name, runs) in enumerate(known_entropy.whole_ladders(table)):
        cost = runs["train_flops"] / runs["train_flops"].max()
        hidden = runs[cost > 10**-TOP]
        for factor in FACTORS:
            seen = runs[cost <= 1.05 * 10**-TOP / factor]
            span = np.ptp(np.log10(seen["train_flops"])) if len(seen) else 0.0
            if len(seen) >= FEWEST_SEEN and span >= SHORTEST:
                yield half_of(place), f"{factor}x", _split(ENTROPY, name, factor, seen, hidden)


def _split(group: str, name: str, factor: float, seen: pd.DataFrame, hidden: pd.DataFrame) -> Split:
    return Split(
        group=group,
        name=f"{name}, {factor:g}x",
        seen=_records(seen, name),
        hidden=hidden,
        inputs=("params", "tokens"),
    )


def _records(runs: pd.DataFrame, name: str) -> Records:
    """The runs as the CLI reads them; what marks them as the zoo's is no fact of a run."""
    ours = runs.drop(columns=["ladder", "held_out", "held_back_entropy"], errors="ignore")
    return records_from_table(ours, source=name, reading=Reading(units={"params": "1"}))


def scored(
    table: pd.DataFrame, entropy: pd.DataFrame, output: Path, methods: Sequence[str]
) -> list[dict[str, object]]:
    """A row for every split and method, written as they come; a stopped call goes on."""
    rows: list[dict[str, object]] = []
    if output.exists():
        rows = json.loads(output.read_text())["splits"]
    done = {(row["split"], row["method"]) for row in rows}
    for half, distance, split in (*splits(table), *entropy_splits(entropy)):
        missing = [name for name in methods if (split.name, name) not in done]
        for name in missing:
            row = row_of(distance, split, name, SURFACE_METHODS[name])
            rows.append({"half": half, **row})
        if missing:
            output.write_text(json.dumps({"splits": rows}, indent=1))
    return rows


def summary(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Means over ladders, by group, half, method and distance; splits that any method refused are
    left out of all."""
    table = pd.DataFrame(rows)
    if "refused" in table:
        refused = table.loc[table["refused"].notna(), "split"]
        table = table[~table["split"].isin(refused)].drop(columns="refused")
    by = ["study", "half", "method", "distance"]
    numbers = [name for name in table.select_dtypes("number").columns if name != "hidden"]
    means = table.groupby(by, sort=False)[numbers].mean()
    means.insert(0, "ladders", table.groupby(by, sort=False).size())
    return means


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, or score every ladder that is whole, print means, write rows."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--table", type=Path, default=TABLE, help="of runs")
    parser.add_argument("--curves", type=Path, default=CURVES, help="of their training losses")
    parser.add_argument("--train", type=float, nargs="?", const=float("inf"), metavar="SECONDS")
    parser.add_argument("--only", nargs="+", metavar="METHOD", choices=METHODS, default=METHODS)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/zoo.json"))
    arguments = parser.parse_args(argv)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.train is not None:
        train(arguments.table, arguments.curves, arguments.train)
        return
    entropy = pd.read_csv(known_entropy.TABLE)
    rows = scored(pd.read_csv(arguments.table), entropy, arguments.output, arguments.only)
    with pd.option_context("display.width", 200, "display.max_columns", 20, "display.max_rows", 99):
        print(summary(rows).round(3).to_string())


if __name__ == "__main__":
    main()
