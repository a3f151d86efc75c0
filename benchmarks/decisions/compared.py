"""How often does `scaling compare` hold the truth, and how often does it see what is not there?

    python -m benchmarks.decisions.compared [--pairs 200] [-o compared.json]

Pairs of recipes whose laws are known, trained alike and compared. B differs from A in the size of
both terms (constant), in one of them (lopsided), in exponents (drifting), in the floor (floor), or
in nothing (none). In half of the pairs size and tokens hinder each other (coupled). The multiplier
of A's compute by which it does as well as B at its best split is known exactly. For every target:
the share of 90% intervals that hold it, their width, how often the better arm is known at 95% and
more, and how often that is the wrong one; and of pairs that do not differ, how often they are said
to.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

from analysis.decisions.two_recipes.compared import ArmComparison, compare
from analysis.forecasting.question.options import ForecastOptions
from scaling.laws.surfaces import Chinchilla, Skaling
from scaling.records import Records
from scaling.simulate import isoflop_runs, simulate_records

KINDS = ("none", "constant", "lopsided", "drifting", "floor")
FACTORS = (1.0, 3.0, 10.0, 30.0)  # times the largest common budget
LEVEL = 0.9
_DESIGNS = ((4, 3), (4, 5), (5, 4), (6, 5))  # budgets, sizes

Law = Chinchilla | Skaling


@dataclass(frozen=True, kw_only=True)
class SimulatedPair:
    """Two recipes that were trained at the same cells."""

    kind: str
    a: Records
    b: Records
    truth: tuple[Law, Law]
    largest: float

    def log_multiplier(self, budget: float) -> float:
        """ln of the compute that A needs to do as well as B at this budget, over it."""
        a, b = self.truth
        wanted = best_loss(b, budget)

        def beyond(log_m: float) -> float:
            return best_loss(a, budget * float(np.exp(log_m))) - wanted

        return float(brentq(beyond, -12.0, 25.0))


def best_loss(law: Law, budget: float) -> float:
    """The loss at the best split of C = 6 N D."""
    n = float(np.asarray(law.optimal_params(budget)))
    return float(np.asarray(law.loss(n, budget / 6 / n)))


def simulated_pairs(count: int, kind: str, seed: int = 0) -> Iterator[SimulatedPair]:
    """So many pairs of a kind."""
    for number in range(count):
        rng = np.random.default_rng([seed, KINDS.index(kind), number])
        yield _pair(kind, rng)


def _pair(kind: str, rng: np.random.Generator) -> SimulatedPair:
    constants = {
        "E": rng.uniform(1.5, 2.2),
        "A": 480 * np.exp(0.2 * rng.standard_normal()),
        "B": 2085 * np.exp(0.2 * rng.standard_normal()),
        "alpha": rng.uniform(0.30, 0.40),
        "beta": rng.uniform(0.30, 0.40),
    }
    better = 0.06 * rng.standard_normal(2)
    changed = dict(constants)
    if kind == "constant":
        changed |= {name: constants[name] * np.exp(better[0]) for name in ("A", "B")}
    elif kind == "lopsided":
        name = "AB"[rng.integers(2)]
        changed[name] = constants[name] * np.exp(2 * better[0])
    elif kind == "drifting":
        low = np.exp(0.003 * rng.standard_normal(2))
        changed |= {n: constants[n] * f for n, f in zip(("alpha", "beta"), low, strict=True)}
        changed |= {name: constants[name] * np.exp(better[0]) for name in ("A", "B")}
    elif kind == "floor":
        changed["E"] = constants["E"] * np.exp(0.002 * rng.standard_normal())
        changed |= {name: constants[name] * np.exp(better[0]) for name in ("A", "B")}
    coupling = float(rng.uniform(0.6, 0.9)) if rng.random() < 0.5 else 1.0
    truth = (_law(constants, coupling), _law(changed, coupling))
    budgets, sizes = _DESIGNS[rng.integers(len(_DESIGNS))]
    largest = 10 ** rng.uniform(18.5, 20)
    spent = np.geomspace(largest / 10 ** rng.uniform(1.5, 2.5), largest, budgets)
    around = np.geomspace(0.4, 2.5, sizes) * np.exp(0.2 * rng.standard_normal())
    runs = isoflop_runs(spent, around, truth[0])
    noise = float(np.exp(rng.uniform(np.log(0.0015), np.log(0.006))))
    how: dict[str, Any] = {"relative_noise": noise, "replicates": int(rng.integers(1, 3))}
    made = [simulate_records(law, runs, seed=int(rng.integers(2**31)), **how) for law in truth]
    return SimulatedPair(kind=kind, a=made[0], b=made[1], truth=truth, largest=largest)


def _law(constants: dict[str, float], k: float) -> Law:
    """Additive for k 1; else both powers, that far from each other the same, within a power k."""
    if k == 1:
        return Chinchilla(**constants)
    a, b = constants["A"], constants["B"]
    alpha, beta = constants["alpha"] / k, constants["beta"] / k
    return Skaling(E=constants["E"], A=a, R=(b / a) ** (1 / k), alpha=alpha, beta=beta, k=k)


def scored(pair: SimulatedPair, options: ForecastOptions) -> dict[str, Any]:
    """What one comparison was worth."""
    budgets = [factor * pair.largest for factor in FACTORS]
    found = compare(pair.a, pair.b, budgets, options=options)
    return {
        "kind": pair.kind,
        "p_value": found.p_value,
        "significant": found.significant,
        "targets": [_of_target(pair, found, i) for i in range(len(FACTORS))],
    }


def _of_target(pair: SimulatedPair, found: ArmComparison, i: int) -> dict[str, Any]:
    target = found.targets[i]
    truth = pair.log_multiplier(target.train_flops)
    if target.multiplier is None:
        return {"factor": FACTORS[i], "inside": None}
    low, high = np.log(target.multiplier_intervals[LEVEL])
    better = target.probability_b_is_better
    assert better is not None
    return {
        "factor": FACTORS[i],
        "truth": truth,
        "error": float(np.log(target.multiplier)) - truth,
        "inside": bool(low <= truth <= high),
        "width": float(high - low),
        "wrong": bool((better > 0.95 and truth < -1e-9) or (better < 0.05 and truth > 1e-9)),
        "sure": bool(better > 0.95 or better < 0.05),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Coverage by kind and target, as text."""
    heads = zip(
        ("target", "pairs", "inside", "width", "sure", "wrong"), (7, 6, 7, 6, 5, 6), strict=True
    )
    lines = ["kind      " + "".join(f" {head:>{width}}" for head, width in heads)]
    for kind in (*KINDS, "all"):
        for i, factor in enumerate(FACTORS):
            told = [r["targets"][i] for r in rows if kind in (r["kind"], "all")]
            told = [t for t in told if t["inside"] is not None]
            if told:
                inside, width, sure, wrong = (
                    np.mean([t[name] for t in told])
                    for name in ("inside", "width", "sure", "wrong")
                )
                lines.append(
                    f"{kind:10} {factor:6g}x {len(told):6} {100 * inside:6.1f}% {width:6.3f} "
                    f"{100 * sure:4.0f}% {100 * wrong:5.1f}%"
                )
    none = [r["significant"] for r in rows if r["kind"] == "none"]
    if none:
        share = 100 * float(np.mean(none))
        lines.append(f"of {len(none)} pairs that do not differ {share:.1f}% are called significant")
    return "\n".join(lines)


def main() -> None:
    """Simulate, compare, print the table; each comparison is written as it is made."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--pairs", type=int, default=200, help="of each kind")
    command.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("-o", "--output", type=Path, help="write each comparison here, as JSONL")
    asked = command.parse_args()
    options, rows = ForecastOptions(backtests=2), []
    for kind in asked.kinds:
        for pair in simulated_pairs(asked.pairs, kind, asked.seed):
            rows.append(scored(pair, options))
            if asked.output:
                with asked.output.open("a") as kept:
                    kept.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
