"""What laws found on bought runs are worth: a part of a public pool, chosen by `runs_to_buy`.

    SCALING_PUBLISHED_DATA=FOLDER python -m benchmarks.discovery.bought_runs [vocab ...]
        [--repeats 3]

The pools are the training runs of tasks of ScaleBench (arXiv:2604.22753), at the costs of its
authors (PlanarG/active-sl): parameters times characters, one a mixture, and the FLOP of both phases
of sparse training. Each repeat begins with cheap runs of every group, drawn anew, and buys the rest
of its budget in rounds under one formula law a task, towards the inputs of the test points. The law
that `discover` then finds in the bought runs alone predicts the test points; R2 as the board's.
`--at-random` buys the rest at random instead.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

from analysis.decisions.further_runs.in_any_inputs import COST, runs_to_buy
from analysis.discovery.discover import discover
from analysis.discovery.reading import LEAST_RUNS
from benchmarks.discovery.law_discovery import TASKS
from scaling.errors import ScalingError
from scaling.laws.written.formula import Formula
from scaling.records import Records, records_from_table

ROUNDS = 3
FIRST = 16  # runs before the first choice where there is one group
_SIGNED = (-np.inf, np.inf)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """How the runs of a task are bought."""

    share: float  # of the pool's cost
    law: Formula
    goal: float
    best: float  # the best published design at this share


_DOMAINS = [f"proportion_domain_{i}" for i in range(1, 6)]
_PULLS = " + ".join(f"t{i}*{name}" for i, name in enumerate(_DOMAINS, 1))
POOLS = {
    "vocab": Pool(
        share=0.1,
        law=Formula(
            "E + A*non_vocab_parameters^-a + G*vocab_size^-g + B*num_characters^-b",
            bounds={"E": _SIGNED, "g": (-3.0, 3.0)},
        ),
        goal=0.98,
        best=0.98,
    ),
    "domain_mixture": Pool(
        share=0.5,
        law=Formula(f"E + k*exp({_PULLS})", bounds={f"t{i}": (-20.0, 20.0) for i in range(1, 6)}),
        goal=0.95,
        best=0.95,
    ),
    "sparsity": Pool(
        share=0.5,
        law=Formula("E + A*N_active^-a + B*P^-b", bounds={"b": (-3.0, 3.0)}),
        goal=0.53,
        best=0.53,
    ),
}


def cost_of(name: str, runs: pd.DataFrame) -> pd.Series:
    """What each run costs, by the pool's authors."""
    if name == "vocab":
        return runs["non_vocab_parameters"] * runs["num_characters"]
    if name == "sparsity":
        return 6 * (runs["N_dense"] * runs["D1"] + runs["N_active"] * runs["D2"])
    return pd.Series(1.0, index=runs.index)


@dataclass(frozen=True, kw_only=True)
class Bought:
    """One repeat of one task."""

    task: str
    repeat: int
    at_random: bool
    runs: int
    spent: float  # share of the pool's cost
    r2: float  # mean over the targets
    goal: float
    seconds: float  # of CPU


def repeat(folder: Path, name: str, number: int, *, at_random: bool = False) -> Bought:
    """Buy, find, predict."""
    pool, task, began = POOLS[name], TASKS[name], process_time()
    train, test = (
        pd.read_csv(folder / "scalebench" / f"{name}_scaling_law_{part}.csv")
        for part in ("train", "test")
    )
    train[COST] = cost_of(name, train)
    budget = pool.share * float(train[COST].sum())
    rng = np.random.default_rng(number)
    chosen = _first(train, budget, rng)
    while at_random:
        left = budget - float(train.loc[chosen, COST].sum())
        rest = train.drop(index=chosen)
        rest = rest[rest[COST] <= left]
        if not len(rest):
            break
        chosen.append(int(rng.choice(rest.index)))
    for turn in range(0 if at_random else ROUNDS):
        for target in task.targets:
            chosen += _bought(name, train, test, chosen, target, budget, turn)
    scores = [_r2(name, train.loc[chosen], test, target) for target in task.targets]
    return Bought(
        task=name,
        repeat=number,
        at_random=at_random,
        runs=len(chosen),
        spent=float(train.loc[chosen, COST].sum() / train[COST].sum()),
        r2=float(np.mean(scores)),
        goal=pool.goal,
        seconds=process_time() - began,
    )


def _first(train: pd.DataFrame, budget: float, rng: np.random.Generator) -> list[int]:
    """Cheap runs of every group, as many as a search needs, drawn from its cheaper half."""
    groups = train.groupby("group").groups.values()
    count = FIRST if len(groups) == 1 else LEAST_RUNS
    found: list[int] = []
    for rows in groups:
        cheap = train.loc[rows].sort_values(COST, kind="stable")
        half = max(count, len(cheap) // 2)
        found += [int(i) for i in rng.permutation(cheap.index[:half])[:count]]
    assert float(train.loc[found, COST].sum()) < budget
    return found


def _records(name: str, runs: pd.DataFrame, target: str) -> Records:
    others = [one for one in TASKS[name].targets if one != target]
    table = runs.drop(columns=[*others, COST]).reset_index(drop=True)
    return records_from_table(table, columns={"loss": target})


def _bought(
    name: str,
    train: pd.DataFrame,
    test: pd.DataFrame,
    chosen: Sequence[int],
    target: str,
    budget: float,
    turn: int,
) -> list[int]:
    """What one round buys for one target: its share of what is left."""
    task = TASKS[name]
    left = budget - float(train.loc[list(chosen), COST].sum())
    turns = (ROUNDS - turn) * len(task.targets) - task.targets.index(target)
    offer = train.drop(index=list(chosen))
    if left < float(offer[COST].min()):
        return []
    points = test[["group", *task.inputs]]
    columns = ["group", *task.inputs, COST]
    spend = left if turns == 1 else max(left / turns, float(offer[COST].min()))
    try:
        proposal = runs_to_buy(
            _records(name, train.loc[list(chosen)], target),
            law=POOLS[name].law,
            by="group",
            offer=offer[columns].reset_index(drop=True),
            at=points,
            budget=min(spend, left),
        )
    except ScalingError as error:
        print(f"  {name} {target}: {error}", flush=True)
        return []
    return [int(offer.index[run.row]) for run in proposal.runs]


def _r2(name: str, runs: pd.DataFrame, test: pd.DataFrame, target: str) -> float:
    """Of the test points, by the law that is found in these runs; -1 for a failure."""
    task = TASKS[name]
    truth = test[target].to_numpy(dtype=float)
    try:
        points = test[["group", *task.inputs]]
        found = discover(_records(name, runs, target), task.inputs, by="group", at=points)
    except ScalingError as error:
        print(f"  {name} {target}: {error}", flush=True)
        return -1.0
    if not found.claimed or any(p.median is None for p in found.predictions):
        print(f"  {name} {target}: {[limit.text for limit in found.limits]}", flush=True)
        return -1.0
    median = np.array([p.median for p in found.predictions])
    return float(1 - np.mean((median - truth) ** 2) / np.var(truth))


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a repeat and the means, and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(POOLS), metavar="TASK")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--at-random", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/bought_runs.json"))
    arguments = parser.parse_args(argv)
    folder = Path(os.environ["SCALING_PUBLISHED_DATA"])
    rows = []
    for name in arguments.tasks:
        for number in range(arguments.repeats):
            rows.append(repeat(folder, name, number, at_random=arguments.at_random))
            one = rows[-1]
            print(
                f"{name} {number}: {one.runs} runs, {one.spent:.1%} of the cost, R2 {one.r2:.4f} "
                f"(goal {one.goal}), {one.seconds:.0f} s of CPU",
                flush=True,
            )
    table = pd.DataFrame([asdict(row) for row in rows])
    print(table.groupby("task", sort=False)[["r2", "goal", "spent", "runs"]].mean().round(4))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
