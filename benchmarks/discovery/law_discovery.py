"""Laws found in any variables, by the protocol of a public board, beside its published scores.

    SCALING_PUBLISHED_DATA=FOLDER python -m benchmarks.discovery.law_discovery
        -o results/law_discovery.json

Five tasks of SLDBench (Lin et al., ICLR 2026) and ScaleBench (arXiv:2604.22753): the law is found
on the training runs alone, with the inputs of the test points as the direction in which backtests
hide runs; it predicts the test points, and R2 = 1 - MSE / variance of the test values, over all
groups together, averaged over the targets of a task; a failure counts -1. One setting for all
tasks. Beside R2: the share of test points in their 90% interval, and seconds of CPU a target.
`--permuted N` draws the values of each task's runs anew among themselves N times: no law is there.
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

from analysis.discovery.discover import discover
from analysis.discovery.result import Discovery
from scaling.errors import ScalingError
from scaling.limits import LimitCode
from scaling.records import records_from_table

_DOMAINS = range(1, 6)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of the board, with its published scores (README of the published data, section 7)."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...] = ("loss",)
    people: float  # people's laws
    agent: float | None  # the best language-model agent, mean of five
    best: float | None  # the best single submission


TASKS = {
    "parallel": Task(inputs=("num_params", "parallel_size"), people=1.000, agent=1.000, best=1.000),
    "vocab": Task(
        inputs=("non_vocab_parameters", "vocab_size", "num_characters"),
        targets=("unigram_normalized_loss",),
        people=0.966,
        agent=0.987,
        best=0.988,
    ),
    "domain_mixture": Task(
        inputs=tuple(f"proportion_domain_{i}" for i in _DOMAINS),
        targets=tuple(f"loss_domain_{i}" for i in _DOMAINS),
        people=0.671,
        agent=0.988,
        best=0.994,
    ),
    "farseer": Task(inputs=("N", "D"), people=0.91, agent=None, best=None),
    "sparsity": Task(inputs=("P", "N_active"), people=0.37, agent=None, best=None),
}


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What was found for one target of a task."""

    task: str
    target: str
    r2: float
    inside: float | None  # share of the test points in their 90% interval
    width: float | None  # mean width of that interval over the size of the value
    seconds: float  # of CPU
    forms: tuple[str, ...]
    winner: str | None


def score(folder: Path, name: str, target: str, seed: int = 0) -> Scored:
    """Find the law of one target on its training runs, and predict its test points."""
    task = TASKS[name]
    train, test = (
        pd.read_csv(folder / "scalebench" / f"{name}_scaling_law_{part}.csv")
        for part in ("train", "test")
    )
    others = [one for one in task.targets if one != target]
    points = test[["group", *task.inputs]]
    began = process_time()
    try:
        records = records_from_table(train.drop(columns=others), columns={"loss": target})
        found = discover(records, task.inputs, by="group", at=points, seed=seed)
    except ScalingError as error:
        print(f"  {name} {target}: refused: {error}")
        return _failed(name, target, process_time() - began)
    seconds = process_time() - began
    truth = test[target].to_numpy(dtype=float)
    if not found.claimed or any(p.median is None for p in found.predictions):
        print(f"  {name} {target}: {[limit.text for limit in found.limits]}")
        return _failed(name, target, seconds)
    return _scored(name, target, truth, found, seconds)


def _failed(name: str, target: str, seconds: float) -> Scored:
    return Scored(
        task=name,
        target=target,
        r2=-1.0,
        inside=None,
        width=None,
        seconds=seconds,
        forms=(),
        winner=None,
    )


def _scored(name: str, target: str, truth: np.ndarray, found: Discovery, seconds: float) -> Scored:
    median = np.array([p.median for p in found.predictions])
    low, high = np.array([p.intervals[0.9] for p in found.predictions]).T
    return Scored(
        task=name,
        target=target,
        r2=float(1 - np.mean((median - truth) ** 2) / np.var(truth)),
        inside=float(np.mean((low <= truth) & (truth <= high))),
        width=float(np.mean((high - low) / np.abs(truth))),
        seconds=seconds,
        forms=tuple(f"{form.weight:.2f} {form.formula}" for form in found.forms),
        winner=found.winner,
    )


def claims_on_permuted(folder: Path, name: str, times: int) -> int:
    """In how many of so many permutations of the values within groups a law is claimed."""
    task, claims = TASKS[name], 0
    train = pd.read_csv(folder / "scalebench" / f"{name}_scaling_law_train.csv")
    target, *others = task.targets
    train = train.drop(columns=others).rename(columns={target: "loss"})
    for seed in range(times):
        rng = np.random.default_rng(seed)
        values = train.groupby("group")["loss"].transform(lambda y, rng=rng: rng.permutation(y))
        records = records_from_table(train.assign(loss=values))
        found = discover(records, task.inputs, by="group", seed=seed)
        assert found.claimed or any(one.code is LimitCode.NO_LAW for one in found.limits)
        claims += found.claimed
    return claims


def summary(scored: Sequence[Scored]) -> dict[str, dict[str, float | None]]:
    """The mean of every task over its targets, beside the published scores."""
    table = {}
    for name in dict.fromkeys(one.task for one in scored):
        own = [one for one in scored if one.task == name]
        inside = [one.inside for one in own if one.inside is not None]
        table[name] = {
            "r2": float(np.mean([one.r2 for one in own])),
            "inside": float(np.mean(inside)) if inside else None,
            "seconds": float(np.sum([one.seconds for one in own])),
            "people": TASKS[name].people,
            "agent": TASKS[name].agent,
            "best": TASKS[name].best,
        }
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="TASK")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--permuted", type=int, default=0, metavar="N")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/law_discovery.json"))
    arguments = parser.parse_args(argv)
    folder = Path(os.environ["SCALING_PUBLISHED_DATA"])
    scored = []
    for name in arguments.tasks:
        for target in TASKS[name].targets:
            scored.append(score(folder, name, target, arguments.seed))
            one = scored[-1]
            print(f"{name} {target}: R2 {one.r2:.4f}, {one.seconds:.1f} s of CPU", flush=True)
    table = summary(scored)
    print("task            R2     in 90%  seconds  people  agent  best")
    for name, row in table.items():
        cells = ["-" if v is None else f"{v:.3f}" for v in row.values()]
        print(f"{name:15s} " + "  ".join(cells))
    permuted = {
        name: claims_on_permuted(folder, name, arguments.permuted)
        for name in arguments.tasks
        if arguments.permuted
    }
    for name, claims in permuted.items():
        print(f"{name}: a law claimed of {claims} in {arguments.permuted} permuted targets")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    document = {"tasks": table, "targets": [asdict(one) for one in scored], "permuted": permuted}
    arguments.output.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
