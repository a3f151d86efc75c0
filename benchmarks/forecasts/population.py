"""How good are the forecasts of other people's ladders? Every published study, by distance.

    python -m benchmarks.forecasts.population [--published FOLDER] [--only METHOD ...] [--most N]
        [-o FILE]
    python -m benchmarks.forecasts.population --learn | --learn-priors

From each ladder its most expensive runs are hidden, and with them all runs within a distance below
them: one budget, half a decade, one decade, and as far as runs enough are left to fit. Ladders
count equally within a study, studies equally within a distance, and distances equally: errors are
shared within a study, so that a study of ten ladders is no ten facts. Baselines are those of
`forecast_skill`. Rows are written as they come, and a run that was stopped goes on. `--learn`
learns from these splits what ladders have in common (`benchmarks.forecasts.learning.constants`),
and `--learn-priors` asks what priors of the laws would (`benchmarks.forecasts.learning.priors`).
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.forecasts.forecast_skill import (
    CONSTANT,
    LEVELS,
    SURFACE_METHODS,
    Answer,
    Method,
    Split,
    score,
)
from benchmarks.forecasts.learning.constants import learn_all
from benchmarks.forecasts.learning.priors import learn_priors
from scaling.arrays import FloatArray
from scaling.errors import ScalingError
from scaling.records import records_from_table

METHODS = ("auto", CONSTANT, "chinchilla, bootstrap + residuals", "single coupled law")
COLUMNS = ("params", "tokens", "train_flops", "loss")
TOP = (0.15, 0.5)  # decades below the most expensive run in which its neighbours lie; the second
FEW = 3  # where the first has fewer
SAME_BUDGET = 0.1  # decades between neighbouring runs of one budget, at most
FEWEST_SEEN = 8
FURTHEST_SEEN = 12  # of the furthest distance
SHORTEST = 0.75  # decades of compute that the seen runs span
STEP = 0.25  # decades between the distances that the furthest is looked for among


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Runs of one recipe on one set of data. runs: the COLUMNS, and whether a run may be `seen`."""

    study: str
    name: str
    runs: pd.DataFrame

    @property
    def decades(self) -> FloatArray:
        """(runs,) log10 of the FLOP."""
        return np.log10(self.runs["train_flops"].to_numpy(float))


def ladders(folder: Path) -> Iterator[Ladder]:
    """Those of every study of surfaces in the folder."""
    hoffmann = pd.read_csv(folder / "hoffmann2022_epoch.csv")
    yield _ladder("hoffmann", "hoffmann", hoffmann[hoffmann.excluded_in_published_fit == 0])
    gadre = pd.read_csv(folder / "gadre2024_overtraining.csv")
    for name, runs in gadre.groupby("train_dataset"):
        small = runs["width"].notna()  # the larger are targets of the study's own
        yield _ladder("gadre", f"gadre {name}", runs, loss="loss_c4_val", seen=small)
    porian = pd.read_csv(folder / "porian2024_rw_isoflop.csv")
    for name, runs in porian.groupby("config"):
        yield _ladder("porian", f"porian {name}", runs)
    misfitting = pd.read_csv(folder / "misfitting2025_final.csv")
    best = misfitting.groupby(["architecture", "tokens"])["loss"].idxmin()
    yield _ladder("misfitting", "misfitting", misfitting.loc[best])
    olmo = pd.read_csv(folder / "olmo_ladder2024.csv")
    olmo = olmo[(olmo.is_final == 1) & olmo.role.isin(["ladder", "extra_small", "target"])]
    yield _ladder("olmo", "olmo c4", olmo, loss="loss_c4_en", seen=olmo.role != "target")
    farseer = pd.concat(
        pd.read_csv(folder / "scalebench" / f"farseer_scaling_law_{part}.csv").assign(part=part)
        for part in ("train", "test")
    )
    farseer = farseer.rename(columns={"N": "n_params", "D": "tokens"})
    farseer["flops"] = 6 * farseer["n_params"] * farseer["tokens"]
    yield _ladder("farseer", "farseer", farseer, seen=farseer.part == "train")


def _ladder(
    study: str, name: str, runs: pd.DataFrame, *, loss: str = "loss", seen: pd.Series | None = None
) -> Ladder:
    runs = runs.rename(columns={"n_params": "params", "flops": "train_flops", loss: "loss"})
    runs = runs[list(COLUMNS)].assign(seen=True if seen is None else seen)
    return Ladder(study=study, name=name, runs=runs.dropna())


def splits(ladder: Ladder) -> Iterator[tuple[str, Split]]:
    """The distances at which this ladder can be asked, each with its runs to fit and to predict.

    The runs to predict are always the same: the most expensive, and their neighbours.
    """
    decades = ladder.decades
    is_top = next(
        found
        for within in TOP
        if (found := decades >= decades.max() - within).sum() >= FEW or within == TOP[-1]
    )
    highest = decades[is_top].min()
    below = _below_the_top_budget(decades)
    distances: dict[str, float] = {}
    if below is not None:
        distances["one budget"] = highest - below
    distances |= {"half a decade": 0.5, "one decade": 1.0}
    furthest = [
        gap
        for gap in np.arange(1 + STEP, highest - decades.min(), STEP)
        if _is_enough(ladder, highest - gap, FURTHEST_SEEN)
    ]
    if furthest:
        distances["the furthest"] = float(furthest[-1])
    for distance, gap in distances.items():
        is_seen = ladder.runs["seen"].to_numpy(bool) & (decades <= highest - gap + 1e-9)
        if _is_enough(ladder, highest - gap, FEWEST_SEEN):
            yield (
                distance,
                Split(
                    group=ladder.study,
                    name=f"{ladder.name}, {distance}",
                    seen=records_from_table(
                        ladder.runs.loc[is_seen, list(COLUMNS)], source=ladder.name
                    ),
                    hidden=ladder.runs.loc[is_top, list(COLUMNS)],
                    inputs=("params", "tokens"),
                ),
            )


def _below_the_top_budget(decades: FloatArray) -> float | None:
    """The compute of the second budget from above; None where runs come in no budgets: fewer than
    three a budget at either."""
    ordered = np.sort(decades)[::-1]
    ends = np.flatnonzero(-np.diff(ordered) > SAME_BUDGET) + 1
    if len(ends) < 2 or ends[0] < 3 or ends[1] - ends[0] < 3:
        return None
    return float(ordered[ends[0]])


def _is_enough(ladder: Ladder, highest: float, fewest: int) -> bool:
    """Whether the runs up to this compute can be fitted at all."""
    decades = ladder.decades[ladder.runs["seen"].to_numpy(bool)]
    seen = decades[decades <= highest + 1e-9]
    return len(seen) >= fewest and float(np.ptp(seen)) >= SHORTEST


def crps(answer: Answer, measured: FloatArray) -> float:
    """Continuous ranked probability score in percent of the loss, by the quantiles that the answer
    has: twice the mean pinball loss over levels (Gneiting & Raftery 2007, section 4), each quantile
    for the levels nearest to it."""
    tails = (1 - np.array(LEVELS)) / 2
    levels = np.concatenate([tails, [0.5], 1 - tails])
    quantiles = np.concatenate([answer.low, answer.centre[:, None], answer.high], axis=1)
    order = np.argsort(levels)
    levels, quantiles = levels[order], quantiles[:, order]
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
    beyond = measured[:, None] - quantiles
    pinball = np.maximum(levels * beyond, (levels - 1) * beyond)
    return float(100 * np.mean(2 * (pinball * np.diff(edges)).sum(axis=1) / measured))


def row_of(distance: str, split: Split, name: str, method: Method) -> dict[str, object]:
    """What one method makes of one split; its refusal where it makes nothing."""
    row: dict[str, object] = {
        "study": split.group,
        "distance": distance,
        "split": split.name,
        "method": name,
        "seen": len(split.seen),
        "hidden": len(split.hidden),
    }
    start = time.process_time()
    try:
        answer = method(split)
        row |= score(split, answer)
        row["crps"] = crps(answer, split.hidden["loss"].to_numpy(float))
    except ScalingError as error:
        row["refused"] = str(error)
    return row | {"cpu_seconds": time.process_time() - start}


def summary(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Means for every method and distance, and over distances: ladders within a study first, then
    studies, then distances. Splits that any of the methods refused are left out of all."""
    table = pd.DataFrame(rows)
    if "refused" in table:
        refused = table.loc[table["refused"].notna(), "split"]
        table = table[~table["split"].isin(refused)].drop(columns="refused")
    numbers = [name for name in table.select_dtypes("number").columns if name != "hidden"]
    by_study = table.groupby(["method", "distance", "study"], sort=False)[numbers].mean()
    by_distance = by_study.groupby(["method", "distance"], sort=False).mean()
    by_distance.insert(0, "studies", by_study.groupby(["method", "distance"], sort=False).size())
    overall = by_distance.groupby("method", sort=False).mean()
    overall.index = pd.MultiIndex.from_tuples([(name, "all distances") for name in overall.index])
    return pd.concat([by_distance, overall])


def main() -> None:
    """Score what is missing, write it, print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("SCALING_PUBLISHED_DATA", "../shared/data/published")
    parser.add_argument("--published", type=Path, default=Path(default))
    parser.add_argument("--only", nargs="+", metavar="METHOD", choices=METHODS, default=METHODS)
    parser.add_argument("--learn", action="store_true", help="write the constants of forecasts")
    parser.add_argument("--learn-priors", action="store_true", help="print priors of the laws")
    parser.add_argument("--most", type=int, help="splits to score before it stops")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/population.json"))
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.published.is_dir():
        parser.error(f"{arguments.published}: no such folder; set SCALING_PUBLISHED_DATA")
    if arguments.learn or arguments.learn_priors:
        found = (
            (ladder.study, distance, split)
            for ladder in ladders(arguments.published)
            for distance, split in splits(ladder)
        )
        print_summary((learn_priors if arguments.learn_priors else learn_all)(found))
        return
    rows: list[dict[str, object]] = []
    if arguments.output.exists():
        rows = json.loads(arguments.output.read_text())["splits"]
    done, scored = {(row["split"], row["method"]) for row in rows}, 0
    for ladder in ladders(arguments.published):
        for distance, split in splits(ladder):
            missing = [name for name in arguments.only if (split.name, name) not in done]
            if not missing or scored == arguments.most:
                continue
            rows += [row_of(distance, split, name, SURFACE_METHODS[name]) for name in missing]
            scored += 1
            arguments.output.write_text(json.dumps({"splits": rows}, indent=1))
            print(f"{split.name}: {len(split.seen)} runs seen, {len(split.hidden)} hidden")
    print_summary(rows)


def print_summary(rows: list[dict[str, object]]) -> None:
    """The summary as a wide table."""
    with pd.option_context("display.width", 200, "display.max_columns", 20, "display.max_rows", 99):
        print(summary(rows).round(3).to_string())


if __name__ == "__main__":
    main()
