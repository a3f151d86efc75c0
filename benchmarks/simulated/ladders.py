"""Ladders whose truth is known, unlike enough to show where a forecast fails.

Each draws its own exponents, floor, noise, design (IsoFLOP or grid) and span. Four kinds of truth:
additive and coupled laws; a law whose exponent changes by 10 to 30% near the edge of the data,
which nothing in the small runs shows; and a clean law whose small runs are badly tuned, the worse
the smaller, so that the ladder looks steeper than it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.simulated.rate_checks import with_checks
from scaling.arrays import FloatArray

KINDS = ("additive", "coupled", "broken", "mistuned")
SIZES = (6, 8, 12, 16, 24, 40, 60)
DECADES_AHEAD = (0.3, 0.6, 1.0, 1.5, 2.0)
DECADE = float(np.log(10))
LOG_SIX = float(np.log(6))
SHOWN = (0.5, 1.0)  # share of bad tuning that is the learning rate's: a check sees no more


@dataclass(frozen=True, kw_only=True)
class SimulatedLadder:
    """Runs to fit, runs to predict (optimal and off-optimal), both with run noise."""

    kind: str
    seen: pd.DataFrame
    checked: pd.DataFrame  # the same runs with what learning-rate checks of their shapes found
    hidden: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Truth:
    """ln loss over (ln N, ln D), around the optimum at the largest budget seen.

    Constants may be columns (truths, 1): losses are then (truths, runs).
    """

    alpha: float
    beta: float
    k: float
    floor_share: float
    level: float
    log_n: float
    log_d: float
    smallest: float  # log compute
    bend: tuple[float, float, float]  # log compute, change of exponent, width
    mistuning: tuple[float, float]  # excess of the smallest run, decay per unit of log compute

    @property
    def largest(self) -> float:
        """Log FLOP of the largest budget seen."""
        return self.log_n + self.log_d + LOG_SIX

    @property
    def size_share(self) -> float:
        """Share of log compute that goes into size along the optimum."""
        return self.beta / (self.alpha + self.beta)

    def log_loss(self, log_n: FloatArray, log_d: FloatArray) -> FloatArray:
        """Of a well-tuned run without noise."""
        inner = np.log(1 - self.floor_share) / self.k
        of_size = inner + np.log(self.size_share) - self.alpha / self.k * (log_n - self.log_n)
        of_data = inner + np.log(1 - self.size_share) - self.beta / self.k * (log_d - self.log_d)
        compute = log_n + log_d + LOG_SIX
        where, change, width = self.bend
        slope = self.alpha * self.size_share
        bent = change * slope * width * np.logaddexp(0, (compute - where) / width)
        reducible = self.k * np.logaddexp(of_size, of_data) - bent
        return np.asarray(np.logaddexp(np.log(self.floor_share), reducible) + self.level)

    def excess(self, log_compute: FloatArray) -> FloatArray:
        """What bad tuning adds to ln loss."""
        excess, decay = self.mistuning
        return np.asarray(excess * np.exp(-decay * (log_compute - self.smallest)))


def simulated_ladders(kinds: tuple[str, ...], each: int, seed: int) -> Iterator[SimulatedLadder]:
    """``each`` ladders of every kind, the same for the same seed."""
    for kind in kinds:
        for i in range(each):
            rng = np.random.default_rng([seed, KINDS.index(kind), i])
            yield simulated_ladder(kind, int(rng.choice(SIZES)), rng)


def simulated_ladder(kind: str, runs: int, rng: np.random.Generator) -> SimulatedLadder:
    """One ladder of about ``runs`` runs, and ten runs beyond it to predict."""
    truth = _draw_truth(kind, rng)
    noise = float(np.exp(rng.uniform(np.log(0.0015), np.log(0.01))))
    design: Callable[[Truth, int, np.random.Generator], tuple[FloatArray, FloatArray]]
    design = _isoflop if rng.random() < 0.6 else _grid
    log_n, log_d = design(truth, runs, rng)
    excess = truth.excess(log_n + log_d + LOG_SIX)
    log_loss = truth.log_loss(log_n, log_d) + excess + noise * rng.standard_normal(len(log_n))
    if kind == "mistuned":
        sizes, which = np.unique(np.round(log_n, 1), return_inverse=True)
        by_size = np.abs(rng.normal(0, rng.uniform(0, 0.01), len(sizes)))[which]
        log_loss, excess = log_loss + by_size, excess + by_size
    ahead_n, ahead_d = _ahead(truth, float((log_n + log_d).max() + LOG_SIX), rng)
    ahead = truth.log_loss(ahead_n, ahead_d) + noise * rng.standard_normal(len(ahead_n))
    seen = _table(log_n, log_d, log_loss)
    (of_checks,) = rng.spawn(1)  # leaves the draws above as they are
    gap = np.expm1(excess) * of_checks.uniform(*SHOWN)
    return SimulatedLadder(
        kind=kind,
        seen=seen,
        checked=with_checks(seen, gap, noise, of_checks),
        hidden=_table(ahead_n, ahead_d, ahead),
    )


def _draw_truth(kind: str, rng: np.random.Generator) -> Truth:
    alpha, beta = np.exp(rng.normal(np.log(0.33), 0.22, 2))
    coupled = kind == "coupled" or (kind in ("broken", "mistuned") and rng.random() < 0.5)
    smallest = DECADE * rng.uniform(16, 20)
    largest = smallest + DECADE * rng.uniform(1.2, 3)
    log_n = (largest - LOG_SIX - np.log(20) - rng.normal(0, 0.5)) / 2
    sign = rng.choice([-1, 1]) if kind == "broken" else 0
    excess = rng.uniform(0.02, 0.08) if kind == "mistuned" else 0.0
    return Truth(
        alpha=float(alpha),
        beta=float(beta),
        k=float(rng.uniform(0.4, 0.95)) if coupled else 1.0,
        floor_share=float(rng.uniform(0.4, 0.88)),
        level=float(rng.normal(np.log(2.7), 0.2)),
        log_n=float(log_n),
        log_d=float(largest - LOG_SIX - log_n),
        smallest=float(smallest),
        bend=(
            float(largest + DECADE * rng.uniform(-1, 1)),
            float(sign * rng.uniform(0.1, 0.3)),
            float(rng.uniform(0.3, 1.5)),
        ),
        mistuning=(float(excess), float(np.log(2) / (DECADE * rng.uniform(0.3, 1.0)))),
    )


def _isoflop(truth: Truth, runs: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    budgets = int(np.clip(round(runs**0.5) + rng.integers(0, 2), 3, 8))
    per_budget = max(2, round(runs / budgets))
    compute = np.repeat(np.linspace(truth.smallest, truth.largest, budgets), per_budget)
    around = np.tile(np.linspace(-1.1, 1.1, per_budget), budgets)
    centre = truth.log_n + truth.size_share * (compute - truth.largest)
    log_n = centre + around + rng.normal(0, 0.2, len(compute))
    return log_n, compute - LOG_SIX - log_n


def _grid(truth: Truth, runs: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    widths = int(np.clip(round(runs**0.5), 3, 8))
    per_width = max(2, round(runs / widths))
    span = truth.size_share * (truth.largest - truth.smallest)
    log_n = np.repeat(np.linspace(truth.log_n - 0.9 * span, truth.log_n, widths), per_width)
    around = np.tile(np.linspace(-1.2, 1.5, per_width), widths)
    ratio = (1 - truth.size_share) / truth.size_share
    return log_n, truth.log_d + ratio * (log_n - truth.log_n) + around


def _ahead(truth: Truth, largest: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    compute = np.repeat(largest + DECADE * np.array(DECADES_AHEAD), 2)
    off = rng.choice([-1, 1], len(compute)) * rng.uniform(0.3, 1.0, len(compute))
    off[::2] = 0.0
    log_n = truth.log_n + truth.size_share * (compute - truth.largest) + off
    return log_n, compute - LOG_SIX - log_n


def _table(log_n: FloatArray, log_d: FloatArray, log_loss: FloatArray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "params": np.exp(log_n),
            "tokens": np.exp(log_d),
            "train_flops": np.exp(log_n + log_d + LOG_SIX),
            "loss": np.exp(log_loss),
        }
    )
