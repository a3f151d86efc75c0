"""Ladders whose small rungs are badly trained by decay and warm-up, at the right learning rate.

Losses follow a known law times what the recipe costs the smallest widths. Each rung carries
the check that a sweep with `health.check_recipe` would make of it: the same arms, with losses from
a known surface around the best recipe and the noise of runs.

    python -m benchmarks.simulated.recipe_checks
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.tuning.response import lowest, recipe_gaps
from scaling.arrays import FloatArray
from scaling.extra_columns.recipe_arms import Arm, Factors, arms_text
from scaling.records import records_from_table
from scaling.words import counted
from sweeps.planning.variants.arms import CORNERS, FEW_CORNERS
from sweeps.training.learning_rate_check import judge

RATES = (0.56, 1.0, 1.8)
WIDTHS = (32, 40, 48, 56, 64, 80)
CURVATURE = np.array([0.04, 0.012, 0.006, 0.012])  # of rate, decay, warm-up, batch, in ln loss
APART = np.zeros((4, 4))
SEEDS, SEQUENCES, TIMES_BEYOND = 2, 16, 10.0
#: Noise of a run, scatter of the curvatures in ln, bends of pairs of constants.
_CHECKS = (("11 arms", CORNERS, 2), ("11 arms", CORNERS, 1), ("7 arms", FEW_CORNERS, 1))
_WORLDS = ((0.004, 0.0, 0.0), (0.004, 0.5, 0.003), (0.01, 0.5, 0.003), (0.01, 0.9, 0.003))
BADLY_TRAINED = 2  # widths, the smallest


def arms_around(
    best: FloatArray,
    noise: float,
    rng: np.random.Generator,
    *,
    curvature: FloatArray = CURVATURE,
    seeds: int = SEEDS,
    corners: Sequence[Factors] = CORNERS,
    together: FloatArray = APART,
) -> list[Arm]:
    """The arms of a check whose best recipe lies at ``best`` (constants,), in steps; ``together``
    (constants, constants) bends the loss along pairs of them."""
    levels = 0.7 + rng.normal(0, noise, seeds)
    arms = []
    for factors in (*(Factors(rate=rate) for rate in RATES), *corners):
        away = np.array(factors.steps) - best
        excess = 0.5 * float(curvature @ away**2 + away @ together @ away)
        losses = np.exp(levels + excess + rng.normal(0, noise, seeds))
        arms.append(Arm(factors=factors, losses=tuple(map(float, losses))))
    return arms


def checked_ladder(
    largest_gap: float, noise: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, float]]:
    """A ladder's runs with both checks, and a run at ten times its largest budget.

    The smallest widths lie ``largest_gap`` (relative) above the best recipe, by decay and warm-up
    in equal parts; the others and the target are trained by it.
    """
    params = np.repeat([12.0 * width**2 for width in WIDTHS], 3)
    tokens = params * np.tile([10.0, 20.0, 40.0], len(WIDTHS))
    rows = _runs(params, tokens, largest_gap)
    rows["loss"] *= np.exp(rng.normal(0, noise, len(rows)))
    for _, rung in rows.groupby("params"):
        row = rung["train_flops"].idxmin()
        gap = np.log1p(rows.loc[row, "gap"])
        apart = np.sqrt(np.array([0.0, gap, gap, 0.0]) / CURVATURE)
        arms = arms_around(apart * np.array([0, -1, 1, 0]), noise, rng)
        rates = np.array([arm.losses for arm in arms[:3]])[:, :, None]
        sequences = rates + 0.002 * rng.standard_normal((3, SEEDS, SEQUENCES))
        for name, value in judge(RATES, sequences, capped=False).record().items():
            rows.loc[row, name] = value
        rows.loc[row, "recipe_arms"] = arms_text(arms)
    largest = rows.loc[rows["train_flops"].idxmax()]
    by = np.sqrt(TIMES_BEYOND)
    target = _runs(
        np.array([*params, by * largest["params"]]),
        np.array([*tokens, by * largest["tokens"]]),
        largest_gap,
    ).iloc[-1]
    return rows.drop(columns="gap"), target.to_dict()


def _runs(params: FloatArray, tokens: FloatArray, largest_gap: float) -> pd.DataFrame:
    flops = 6 * params * tokens
    gap = np.where(params <= 12.0 * WIDTHS[BADLY_TRAINED - 1] ** 2, largest_gap, 0.0)
    loss = (1.2 + 8.0 * params**-0.3 + 12.0 * tokens**-0.3) * (1 + gap)
    columns = {"params": params, "tokens": tokens, "train_flops": flops}
    return pd.DataFrame({**columns, "width": np.sqrt(params / 12), "loss": loss, "gap": gap})


def biases(largest_gap: float, noise: float, ladders: int, seed: int) -> dict[str, float]:
    """Mean signed error of forecasts of the target, in percent, by the check they know of."""
    rng = np.random.default_rng(seed)
    columns = {
        "no check": ["health", "lr_offset", "lr_curvature", "lr_gap", "lr_gap_stderr"],
        "learning rate": [],
        "recipe": [],
    }
    errors: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(ladders):
        rows, target = checked_ladder(largest_gap, noise, rng)
        asked = Targets.runs([target["params"]], [target["tokens"]])
        for name, without in columns.items():
            hidden = without + ([] if name == "recipe" else ["recipe_arms"])
            made = forecast(
                records_from_table(rows.drop(columns=hidden)),
                asked,
                options=ForecastOptions(backtests=0),
            )
            errors[name].append(100 * (made.targets[0].median / target["loss"] - 1))
    return {name: float(np.mean(found)) for name, found in errors.items()}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How gaps that checks found compare with the true ones; percent of the loss."""

    truth: float  # mean
    bias: float
    error: float  # root mean square
    stated: float  # root mean square standard error
    inside: float  # share of the 90% intervals that hold the truth


def within_reach(hessian: FloatArray, best: FloatArray, corners: Sequence[Factors]) -> float:
    """ln loss of the recipe over the lowest of what arms tried, of a surface around ``best``."""
    tried = np.array([one.steps for one in (*corners, *(Factors(rate=rate) for rate in RATES))])
    slope = -hessian @ best
    pairs = hessian[np.triu_indices(len(best), 1)]
    coefficients = np.concatenate([slope, np.diag(hessian), pairs])
    lowest_at = lowest(coefficients, tried.min(axis=0), tried.max(axis=0))
    return -float(lowest_at @ slope + lowest_at @ hessian @ lowest_at / 2)


def calibration(
    noise: float,
    *,
    scatter: float,
    bend: float = 0.0,
    checks: int = 150,
    seeds: int = SEEDS,
    corners: Sequence[Factors] = CORNERS,
    seed: int = 0,
) -> Calibration:
    """Of checks of recipes whose best lies a step or so away in every constant (normal, one step;
    half a step in the rate), with curvatures that differ from the usual ones by a factor
    exp(scatter u), u normal, and bends of pairs of ``bend`` v, v normal, where that is a bowl."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(checks):
        best = rng.normal(0, [0.5, 1, 1, 1]) * rng.uniform(0, 1.5)
        curvature = CURVATURE * np.exp(scatter * rng.standard_normal(4))
        together = np.triu(bend * rng.standard_normal((4, 4)), 1)
        together = together + together.T
        while np.linalg.eigvalsh(np.diag(curvature) + together)[0] <= 0:
            together = together / 2
        arms = arms_around(
            best,
            noise,
            rng,
            curvature=curvature,
            seeds=seeds,
            corners=corners,
            together=together,
        )
        (found,) = recipe_gaps([arms])
        truth = np.expm1(within_reach(np.diag(curvature) + together, best, corners))
        rows.append((100 * truth, 100 * found.gap, 100 * found.stderr))
    truth, gap, stderr = np.array(rows).T
    return Calibration(
        truth=float(truth.mean()),
        bias=float((gap - truth).mean()),
        error=float(np.sqrt(((gap - truth) ** 2).mean())),
        stated=float(np.sqrt((stderr**2).mean())),
        inside=float((np.abs(gap - truth) <= 1.645 * stderr).mean()),
    )


def main() -> None:
    """Print how far the gap is found, and what the forecasts make of it."""
    rng = np.random.default_rng(0)
    print("gap to the best recipe, percent: within reach, found (sd), best arm taken at its word")
    for decay, noise in ((0.0, 0.004), (0.0, 0.01), (-1.0, 0.004), (-1.0, 0.01), (-2.0, 0.01)):
        best = np.array([0.0, decay, 0.0, 0.0])
        reach = 50 * (CURVATURE[1] * (decay**2 - (decay - max(decay, -1)) ** 2))
        checks = [arms_around(best, noise, rng) for _ in range(60)]
        found = np.array([100 * recipe_gaps([arms])[0].gap for arms in checks])
        naive = [np.array([np.mean(np.log(arm.losses)) for arm in arms]) for arms in checks]
        taken = np.mean([100 * (means[1] - means.min()) for means in naive])
        print(
            f"decay {decay:+.0f} steps, noise {100 * noise:.1f}%: {reach:.2f}  {found.mean():.2f} "
            f"({found.std():.2f})  {taken:.2f}"
        )
    print(
        "standard errors: truth, bias, root mean square error, stated, 90% intervals that hold it"
    )
    for name, corners, seeds in _CHECKS:
        for noise, scatter, bend in _WORLDS:
            one = calibration(noise, scatter=scatter, bend=bend, corners=corners, seeds=seeds)
            print(
                f"{name}, {counted(seeds, 'seed')}, noise {100 * noise:.1f}%, curvatures off by "
                f"{scatter:.1f} in ln, pairs bent by {100 * bend:.1f}%: {one.truth:.2f}  "
                f"{one.bias:+.2f}  {one.error:.2f}  {one.stated:.2f}  {one.inside:.2f}"
            )
    for largest_gap in (0.0, 0.02, 0.05):
        found = biases(largest_gap, 0.003, 12, 1)
        told = ", ".join(f"{name} {error:+.2f}" for name, error in found.items())
        print(f"small rungs {largest_gap:.0%} too high: bias at 10x, percent: {told}")


if __name__ == "__main__":
    main()
