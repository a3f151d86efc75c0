"""How good could a forecast of the simulated ladders be at all?

    python -m benchmarks.forecasts.attainable [--ladders 40] [--seed 2026] [-o FILE]

The forecaster here knows everything about `benchmarks.simulated.ladders` but what a ladder's own
truth is: which kinds there are, how their constants are drawn, that noise is normal. It draws
truths from the posterior of every kind by tempered sequential Monte Carlo (Del Moral, Doucet and
Jasra 2006), weighs the kinds by their evidence, and predicts with all of them. No method that must
work for other ladders too can be expected to be as narrow; how far ours is from it says how much
there is left to learn from the runs, and how its coverage differs between kinds says what no
forecaster can see. Two simplifications: the scatter of badly tuned sizes counts as normal, and the
design of a ladder tells nothing of its optimum.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

from benchmarks.forecasts.forecast_skill import (
    LEVELS,
    Answer,
    Split,
    ours,
    score,
    simulated_splits,
    summary,
)
from benchmarks.simulated.ladders import DECADE, KINDS, LOG_SIX, Truth
from scaling.arrays import FloatArray

PARTICLES = 1200
MOVES = 10  # at every temperature; three times as many at the last
DIMENSIONS = 13  # of the normal coordinates that all kinds share
SHARED = (0, 1, 3, 4, 5, 6)
OWN = {
    "additive": SHARED,
    "coupled": (*SHARED, 2),
    "broken": (*SHARED, 2, 7, 8, 9),
    "mistuned": (*SHARED, 2, 10, 11, 12),
}
HALF_NORMAL_MEAN = float(np.sqrt(2 / np.pi))


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What was measured: logs of size, tokens and loss, and which runs share a size."""

    log_n: FloatArray
    log_d: FloatArray
    log_loss: FloatArray
    of_size: FloatArray  # (runs, sizes) 0 or 1

    @property
    def log_compute(self) -> FloatArray:
        """Log FLOP (runs,)."""
        return self.log_n + self.log_d + LOG_SIX


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Truths, each constant a column (truths, 1), with their noise and scatter of sizes."""

    truth: Truth
    noise: FloatArray
    by_size: FloatArray


def drawn(kind: str, z: FloatArray, runs: Runs) -> Drawn:
    """Truths of ``kind`` from standard normal coordinates (truths, 13), as the simulator draws."""
    columns = z.T[..., None]
    chance = ndtr(columns)
    smallest, largest = float(runs.log_compute.min()), float(runs.log_compute.max())
    if kind == "additive":
        k = np.ones_like(columns[2])
    elif kind == "coupled":
        k = 0.4 + 0.55 * chance[2]
    else:  # half of them additive
        k = np.where(columns[2] < 0, 1.0, 0.4 + 0.55 * (2 * chance[2] - 1))
    log_n = (largest - LOG_SIX - np.log(20) - 0.5 * columns[5]) / 2
    size = 0.1 + 0.2 * np.abs(2 * chance[8] - 1)
    change = np.sign(columns[8]) * size if kind == "broken" else np.zeros_like(k)
    mistuned = float(kind == "mistuned")
    truth = Truth(
        alpha=np.exp(np.log(0.33) + 0.22 * columns[0]),
        beta=np.exp(np.log(0.33) + 0.22 * columns[1]),
        k=k,
        floor_share=0.4 + 0.48 * chance[3],
        level=np.log(2.7) + 0.2 * columns[4],
        log_n=log_n,
        log_d=largest - LOG_SIX - log_n,
        smallest=smallest,
        bend=(largest + DECADE * (2 * chance[7] - 1), change, 0.3 + 1.2 * chance[9]),
        mistuning=(
            mistuned * (0.02 + 0.06 * chance[10]),
            np.log(2) / (DECADE * (0.3 + 0.7 * chance[11])),
        ),
    )
    noise = np.exp(np.log(0.0015) + np.log(0.01 / 0.0015) * chance[6])
    return Drawn(truth=truth, noise=noise, by_size=mistuned * 0.01 * chance[12])


def log_likelihood(kind: str, z: FloatArray, runs: Runs) -> FloatArray:
    """Of the runs under each truth (truths,), up to a constant."""
    made = drawn(kind, z, runs)
    expected = made.truth.log_loss(runs.log_n, runs.log_d) + made.truth.excess(runs.log_compute)
    left = runs.log_loss - expected - HALF_NORMAL_MEAN * made.by_size
    variance = made.noise**2
    alone = -0.5 * (left**2 / variance).sum(axis=1) - left.shape[1] * np.log(made.noise[:, 0])
    # runs of one size share a normal deviation: its share of their squares is not noise
    shared = (1 - HALF_NORMAL_MEAN**2) * made.by_size**2 / variance  # (truths, 1)
    sums, sizes = left @ runs.of_size, runs.of_size.sum(axis=0)
    together = shared / (1 + sizes * shared)
    return np.asarray(
        alone
        + 0.5 * (sums**2 * together / variance).sum(axis=1)
        - 0.5 * np.log1p(sizes * shared).sum(axis=1)
    )


def posterior(kind: str, runs: Runs, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Coordinates (particles, 13) drawn from the posterior of one kind, and its log evidence."""
    own = list(OWN[kind])
    z = rng.standard_normal((PARTICLES, DIMENSIONS))
    fit = log_likelihood(kind, z, runs)
    temperature, log_evidence, scale = 0.0, 0.0, 1.0
    while temperature < 1:
        step = _next_step(fit, 1 - temperature)
        weights = np.exp(step * (fit - fit.max()))
        log_evidence += float(np.log(weights.mean()) + step * fit.max())
        temperature = temperature + step if step < 1 - temperature else 1.0
        ladder = (np.arange(PARTICLES) + rng.random()) / PARTICLES
        kept = np.searchsorted(np.cumsum(weights / weights.sum()), ladder).clip(0, PARTICLES - 1)
        z, fit = z[kept], fit[kept]
        spread = np.linalg.cholesky(np.cov(z[:, own].T) + 1e-8 * np.eye(len(own)))
        for _ in range(MOVES if temperature < 1 else 3 * MOVES):
            trial = z.copy()
            shift = rng.standard_normal((PARTICLES, len(own))) @ spread.T
            trial[:, own] += scale * 2.38 / np.sqrt(len(own)) * shift
            trial_fit = log_likelihood(kind, trial, runs)
            gain = temperature * (trial_fit - fit)
            gain += 0.5 * (z[:, own] ** 2 - trial[:, own] ** 2).sum(axis=1)
            moved = np.log(rng.random(PARTICLES)) < gain
            z[moved], fit[moved] = trial[moved], trial_fit[moved]
            scale = float(np.clip(scale * np.exp(0.3 * (moved.mean() - 0.25)), 0.05, 2.0))
    return z, log_evidence


def _next_step(fit: FloatArray, left: float) -> float:
    """The largest rise in temperature that keeps half of the particles effective."""

    def effective(step: float) -> float:
        weights = np.exp(step * (fit - fit.max()))
        return float(weights.sum() ** 2 / (weights**2).sum())

    if effective(left) >= PARTICLES / 2:
        return left
    low, high = 0.0, left
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if effective(middle) < PARTICLES / 2 else (middle, high)
    return low


def best_answer(split: Split, rng: np.random.Generator) -> tuple[Answer, FloatArray]:
    """The forecast of one who knows the simulator, and the chance of every kind (kinds,)."""
    log_n, log_d = (np.log(split.seen.column(name)) for name in split.inputs)
    sizes, which = np.unique(np.round(log_n, 1), return_inverse=True)
    runs = Runs(
        log_n=log_n,
        log_d=log_d,
        log_loss=np.log(split.seen.column("loss")),
        of_size=np.eye(len(sizes))[which],
    )
    ahead = [np.log(split.hidden[name].to_numpy(float)) for name in split.inputs]
    draws, evidence = [], []
    for kind in KINDS:
        z, log_evidence = posterior(kind, runs, rng)
        made = drawn(kind, z, runs)
        loss = made.truth.log_loss(*ahead)
        draws.append(loss + made.noise * rng.standard_normal(loss.shape))
        evidence.append(log_evidence)
    chances = np.exp(np.array(evidence) - max(evidence))
    chances = chances / chances.sum()
    pooled, weights = np.concatenate(draws), np.repeat(chances / PARTICLES, PARTICLES)
    tails = (1 - np.array(LEVELS)) / 2
    wanted = np.concatenate([[0.5], tails, 1 - tails])
    found = np.exp([_quantiles(column, weights, wanted) for column in pooled.T])
    low, high = np.split(found[:, 1:], 2, axis=1)
    return Answer(centre=found[:, 0], low=low, high=high), chances


def _quantiles(values: FloatArray, weights: FloatArray, wanted: FloatArray) -> FloatArray:
    order = np.argsort(values)
    return np.interp(wanted, np.cumsum(weights[order]), values[order])


def main() -> None:
    """Score both forecasters on the same ladders, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ladders", type=int, default=40, help="simulated ladders of each kind")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/attainable.json"))
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    splits = simulated_splits(arguments.ladders, arguments.seed, checked=False)
    for i, split in enumerate(splits):
        best, chances = best_answer(split, np.random.default_rng([arguments.seed, i]))
        kind = split.name.split()[0]
        own_kind = {"chance of own kind": float(chances[KINDS.index(kind)])}
        named = {"group": split.group, "split": split.name}
        rows.append(named | {"method": "attainable"} | score(split, best) | own_kind)
        rows.append(named | {"method": "auto"} | score(split, ours("auto")(split)))
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(summary(rows).round(3).to_string())
    arguments.output.write_text(json.dumps(rows, indent=1))
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
