"""What are chosen runs worth beside a plain grid? Simulated ladders, and a published pool of runs.

    python -m benchmarks.decisions.chosen_runs [--seeds 50] [--first 0]
        [--kinds additive coupled broken]
    python -m benchmarks.decisions.chosen_runs --pool FOLDER [--repeats 10]

Simulated: a log-spaced grid of 5 sizes x 4 numbers of tokens, its forecast 100 times beyond its
largest run, and runs that `next_runs` chooses: from the grid's six cheapest on (more, where these
make no surface), for a third and a half of its FLOP and for the same, those first ones included.
`--plan isoflop`: profiles around the best sizes, which nobody knows before, in the grid's place.
Truth and noise are those of `benchmarks.simulated.ladders`; a row a ladder is added to FILE.

Pool: the public task "farseer" (PlanarG/active-sl): any of its runs may be bought at 6 N D FLOP,
for a tenth of what all cost; R2 of the forecast of its test runs. Each repeat begins with other
cheap runs.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.decisions.further_runs.next_runs import NextRuns, next_runs, to_train_now
from analysis.decisions.further_runs.runs_on_offer import RunOnOffer
from analysis.evaluation.scores import interval_score
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.targets import Targets
from analysis.intervals import LEVEL
from benchmarks.simulated.ladders import DECADE, KINDS, LOG_SIX, Truth, _draw_truth, _table
from scaling.answerable import no_surface
from scaling.arrays import FloatArray
from scaling.errors import ForecastError, ScalingError
from scaling.records import Records, records_from_table

SIZES, TOKENS = 5, 4  # of the grid; profiles have as many budgets and sizes
AROUND = 1.0  # logs that the sizes of a profile lie around the best
AHEAD = 2 * DECADE
HIDDEN = 20  # runs at the target, with noise
ROUNDS = 3
FIRST = 6  # runs before the first proposal, or as many as make a surface
SHARES = {"third": 1 / 3, "half": 1 / 2, "equal": 1.0}  # of the grid's FLOP
WORSE = 1.05
SHARE = 0.1  # of a pool's cost


@dataclass(frozen=True, kw_only=True)
class World:
    """A truth that can be asked for runs."""

    truth: Truth
    noise: float
    rng: np.random.Generator

    def train(self, log_n: FloatArray, log_d: FloatArray) -> pd.DataFrame:
        """Runs, each with its own scatter."""
        excess = self.truth.excess(log_n + log_d + LOG_SIX)
        scatter = self.noise * self.rng.standard_normal(len(log_n))
        return _table(log_n, log_d, self.truth.log_loss(log_n, log_d) + excess + scatter)


def grid(truth: Truth) -> tuple[FloatArray, FloatArray]:
    """Log sizes and tokens of the plain grid: each size with each number of tokens, both equally
    spaced in logs between what is best at the smallest and at the largest budget."""
    span = truth.largest - truth.smallest
    log_n = np.linspace(truth.log_n - truth.size_share * span, truth.log_n, SIZES)
    log_d = np.linspace(truth.log_d - (1 - truth.size_share) * span, truth.log_d, TOKENS)
    n, d = np.meshgrid(log_n, log_d)
    return n.ravel(), d.ravel()


def isoflop(truth: Truth) -> tuple[FloatArray, FloatArray]:
    """Log sizes and tokens of profiles around the best sizes, which only a simulation knows."""
    compute = np.repeat(np.linspace(truth.smallest, truth.largest, SIZES), TOKENS)
    around = np.tile(np.linspace(-AROUND, AROUND, TOKENS), SIZES)
    log_n = truth.log_n + truth.size_share * (compute - truth.largest) + around
    return log_n, compute - LOG_SIX - log_n


PLANS = {"grid": grid, "isoflop": isoflop}


def _records(table: pd.DataFrame) -> Records:
    return records_from_table(table.reset_index(drop=True), source="simulated")


def bought(world: World, start: pd.DataFrame, target: float, budget: float) -> dict[str, object]:
    """The table after rounds of forecast, choice and training, and what the last choice said."""
    table, said, least = start, None, 0
    for number in range(ROUNDS):
        left = budget - float(table["train_flops"].sum())
        try:
            proposal = next_runs(_records(table), target, left)
        except ForecastError:  # nothing is left
            break
        if not proposal.runs:
            break
        said, least = proposal, len(table)
        runs = to_train_now(proposal, last=number == ROUNDS - 1)
        pairs = [(run.params, run.tokens) for run in runs for _ in range(run.times)]
        new = world.train(*np.log(np.array(pairs, dtype=np.float64)).T)
        table = pd.concat([table, new], ignore_index=True)
    return {"table": table, "said": said, "before": least}


def simulated(kind: str, number: int, plan: str = "grid") -> dict[str, object]:
    """One ladder: interval scores in percent of the loss, of the grid and of chosen runs."""
    rng = np.random.default_rng([7, KINDS.index(kind), number])
    truth = _draw_truth(kind, rng)
    noise = float(np.exp(rng.uniform(np.log(0.0015), np.log(0.01))))
    world = World(truth=truth, noise=noise, rng=rng)
    whole = world.train(*PLANS[plan](truth))
    compute = truth.largest + AHEAD
    log_n = np.full(HIDDEN, truth.log_n + truth.size_share * AHEAD)
    hidden = world.train(log_n, compute - LOG_SIX - log_n)["loss"].to_numpy()
    start = _cheapest(whole)
    row: dict[str, object] = {"kind": kind, "plan": plan, "number": number, "noise": noise}
    row |= _scored("grid", whole, compute, hidden)
    cost = float(whole["train_flops"].sum())
    for name, share in SHARES.items():
        found = bought(world, start, float(np.exp(compute)), share * cost)
        table, said = found["table"], found["said"]
        assert isinstance(table, pd.DataFrame)
        row |= _scored(name, table, compute, hidden)
        row[f"{name} spent"] = float(table["train_flops"].sum()) / cost
        row[f"{name} runs"] = len(table)
        row[f"{name} top"] = float(np.log(table["train_flops"].max()) - truth.largest) / DECADE
        if isinstance(said, NextRuns) and said.after is not None:
            row[f"{name} promised"] = said.after.percent
    return row


def _cheapest(whole: pd.DataFrame) -> pd.DataFrame:
    """The cheapest runs of a plan that can be forecast from by size and tokens, six or more."""
    ordered = whole.sort_values("train_flops", kind="stable")
    for count in range(FIRST, len(ordered)):
        logs = np.log(ordered.iloc[:count][["params", "tokens", "train_flops"]].to_numpy().T)
        if no_surface(*logs) is None:
            return ordered.iloc[:count]
    return ordered


def _scored(name: str, table: pd.DataFrame, compute: float, hidden: FloatArray) -> dict[str, float]:
    """Interval score, width and error of the 90% interval, percent of the loss."""
    (target,) = forecast(_records(table), Targets.flops(np.exp(compute))).targets
    low, high = target.intervals[LEVEL]
    score = interval_score(np.array([low]), np.array([high]), hidden, LEVEL) / hidden
    return {
        f"{name} score": float(100 * np.mean(score)),
        f"{name} width": 100 * (high / low - 1),
        f"{name} error": float(100 * abs(target.centre / np.median(hidden) - 1)),
        f"{name} inside": float(np.mean((hidden >= low) & (hidden <= high))),
    }


def pool(folder: Path, repeats: Sequence[int]) -> Iterator[dict[str, object]]:
    """R2 on the test runs of farseer, of forecasts from runs that were chosen for a tenth."""
    place = folder / "scalebench"
    train, test = (
        pd.read_csv(place / f"farseer_scaling_law_{part}.csv")
        .drop_duplicates()
        .rename(columns={"N": "params", "D": "tokens"})
        .assign(train_flops=lambda runs: 6 * runs["params"] * runs["tokens"])
        .drop(columns="group")
        for part in ("train", "test")
    )
    train = train.reset_index(drop=True)
    asked = Targets.runs(test["params"].to_numpy(), test["tokens"].to_numpy())
    target = float(np.exp(np.log(test["train_flops"]).mean()))
    budget = SHARE * float(train["train_flops"].sum())
    for repeat in repeats:
        chosen = _first(train, np.random.default_rng(repeat))
        while True:
            spent = float(train.loc[chosen, "train_flops"].sum())
            rest = train.drop(index=chosen)
            rest = rest[rest["train_flops"] <= budget - spent]
            columns = ("train_flops", "params", "tokens")
            offer = [
                RunOnOffer(**dict(zip(columns, map(float, run), strict=True)))
                for run in rest[list(columns)].to_numpy()
            ]
            try:
                found = next_runs(_records(train.loc[chosen]), target, budget - spent, offer=offer)
            except ForecastError:
                break
            runs = to_train_now(found)
            if not runs:
                break
            chosen = list(dict.fromkeys([*chosen, *(int(rest.index[run.place]) for run in runs)]))
        answered = forecast(_records(train.loc[chosen]), asked)
        loss = test["loss"].to_numpy()
        predicted = np.array([one.centre for one in answered.targets])
        yield {
            "repeat": repeat,
            "runs": len(chosen),
            "spent": float(train.loc[chosen, "train_flops"].sum()) * SHARE / budget,
            "R2": float(1 - np.mean((predicted - loss) ** 2) / np.var(loss)),
            "error": float(100 * np.mean(np.abs(predicted / loss - 1))),
        }


def _first(train: pd.DataFrame, rng: np.random.Generator) -> list[int]:
    """Cheap runs of different sizes and tokens, drawn anew for each repeat."""
    cheap = train[train["train_flops"] <= train["train_flops"].quantile(0.25)]
    while True:
        drawn = cheap.sample(FIRST, random_state=int(rng.integers(2**31)))
        if min(drawn["params"].nunique(), drawn["tokens"].nunique()) >= 3:
            return [int(i) for i in drawn.index]


def main() -> None:
    """Print means by kind, or by repeat, and write a row a ladder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS[:3]), choices=KINDS)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--plan", default="grid", choices=PLANS)
    published = os.environ.get("SCALING_PUBLISHED_DATA")
    parser.add_argument("--pool", nargs="?", type=Path, const=published and Path(published))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/chosen_runs.jsonl"))
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.pool:
        first = arguments.first
        rows = pool(arguments.pool, range(first, first + arguments.repeats))
    else:
        numbers = range(arguments.first, arguments.first + arguments.seeds)
        rows = (
            simulated(kind, number, arguments.plan)
            for kind in arguments.kinds
            for number in numbers
        )
    with arguments.output.open("a") as file:
        try:
            for row in rows:
                file.write(json.dumps(row) + "\n")
                file.flush()
        except ScalingError as error:
            print(error)
    table = pd.read_json(arguments.output, lines=True)
    with pd.option_context("display.width", 200, "display.max_rows", 99):
        print(table.round(3).to_string() if arguments.pool else by_kind(table))


def by_kind(table: pd.DataFrame) -> str:
    """Means by kind of truth, and how many ladders each has."""
    worse = {
        f"{name} more than 5% worse": table[f"{name} score"] > WORSE * table["grid score"]
        for name in SHARES
    }
    by = table.assign(**worse).groupby(["plan", "kind"], sort=False)
    means = by.mean().drop(columns="number").assign(ladders=by.size())
    for name in SHARES:
        means[f"{name} over grid"] = means[f"{name} score"] / means["grid score"]
    return str(means.T.round(3).to_string())


if __name__ == "__main__":
    main()
