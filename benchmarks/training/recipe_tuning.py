"""How far from the best is a tiny recipe on the quick start's rungs? One fit to all arms that ran.

    python -m benchmarks.training.recipe_tuning [--table CSV] [-o FILE]

The table has runs of the quick start's cells with constants of the recipe replaced
(`recipe.overrides`), several seeds of each. Log losses of the smaller and the larger rung are
fitted at once: a parabola in the log of the learning rate, whose middle each rung has of its own;
one in the log of the weight decay; straight lines in the log of the warm-up and of the batch; a
step between the schedules; and a level for every seed of a rung, which pairs the arms. So every run
speaks for every constant, where arms compared two by two would drown in the scatter of seeds. Rates
count as means over a run. The gap of a recipe is its fitted loss over the best fitted one,
with 90% of what the scatter allows.

Beside it stand three rungs over a factor 27 in compute, each with arms of one constant of the quick
start's recipe changed, on five seeds or more (`benchmarks.decisions.recipe_arms` trained them):
their gaps to the best found are those that a check of a sweep would state
(`analysis.tuning.response`).
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.tuning.response import RecipeGap, recipe_gaps
from benchmarks.forecasts.quickstart_ladders import planned
from scaling.arrays import FloatArray
from scaling.extra_columns.recipe_arms import Arm as ArmOfCheck
from scaling.extra_columns.recipe_arms import Factors
from scaling.words import counted
from sweeps.config.recipe import find_recipe
from sweeps.planning.run_plan import RunPlan

TABLE = Path(__file__).parents[2] / "examples" / "quickstart_arms.csv"
AROUND = TABLE.with_name("recipe_arms.csv")
RUNGS = ((32, 3e10), (48, 2.4e11))
LAST_RUNG = (64, 8e11)  # 27 times the FLOP of the first; too dear for a fit
RATE, DECAY = 0.0108, 0.9  # where the parabolas are centred
WARMUP, BATCH = 0.01, 4  # share of the steps; sequences
RECIPES = ("cpt-adamw-tiny/1", "cpt-adamw-tiny/3")
RATES = RATE * np.geomspace(0.7, 1.4, 71)  # as far as arms ran
DECAYS = np.geomspace(0.24, 2.0, 107)
LEVEL = (5, 95)  # percentiles of an interval
DRAWS = 4000

NAMES = (
    *("rate, small rung", "rate, large rung", "rate squared", "decay", "decay squared"),
    *("warm-up, small rung", "warm-up, large rung", "wsd, small rung", "wsd, large rung", "batch"),
)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is varied, at one rung."""

    is_large: bool
    rate: float  # base learning rate, of the mean over a run
    decay: float  # weight_decay_factor
    warmup: float  # share of the steps
    is_wsd: bool
    batch_sequences: float

    @property
    def row(self) -> FloatArray:
        """(effects,) What multiplies each of the NAMES."""
        of_rung = np.array([not self.is_large, self.is_large], dtype=np.float64)
        rate, decay = np.log(self.rate / RATE), np.log(self.decay / DECAY)
        return np.concatenate(
            [
                rate * of_rung,
                [rate**2, decay, decay**2],
                np.log(self.warmup / WARMUP) * of_rung,
                self.is_wsd * of_rung,
                [np.log(self.batch_sequences / BATCH)],
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The fit: percent of the loss, an effect each of NAMES."""

    effects: FloatArray
    covariance: FloatArray
    residual: float
    runs: int

    def best_rates(self, is_large: bool) -> FloatArray:
        """(1 + draws,) The best learning rate of a rung by the fit, and by each draw."""
        of_draws = self._with_draws()
        at = np.log(RATES / RATE)
        return np.asarray(RATES[_parabolas(of_draws, int(is_large), 2, at).argmin(axis=1)])

    def best_decays(self) -> FloatArray:
        """(1 + draws,) The best weight decay factor by the fit, and by each draw."""
        at = np.log(DECAYS / DECAY)
        return np.asarray(DECAYS[_parabolas(self._with_draws(), 3, 4, at).argmin(axis=1)])

    def gaps(self, arm: Arm, shortest_warmup: float) -> FloatArray:
        """(1 + draws,) By how many percent the loss of an arm lies above the best: the lowest over
        RATES and DECAYS, in the better schedule, at the least batch and the shortest warm-up."""
        of_draws = self._with_draws()
        best = _parabolas(of_draws, int(arm.is_large), 2, np.log(RATES / RATE)).min(axis=1)
        best += _parabolas(of_draws, 3, 4, np.log(DECAYS / DECAY)).min(axis=1)
        centre = dataclasses.replace(
            arm, rate=RATE, decay=DECAY, warmup=shortest_warmup, batch_sequences=BATCH
        )
        rests = [
            of_draws @ dataclasses.replace(centre, is_wsd=is_wsd).row for is_wsd in (False, True)
        ]
        return np.asarray(of_draws @ arm.row - best - np.minimum(*rests))

    def _with_draws(self) -> FloatArray:
        """(1 + draws, effects) The fit, and what else the runs allow."""
        rng = np.random.default_rng(0)
        drawn = rng.multivariate_normal(self.effects, self.covariance, size=DRAWS)
        return np.vstack([self.effects, drawn])


def _parabolas(effects: FloatArray, slope: int, bend: int, at: FloatArray) -> FloatArray:
    """(draws, places) Two effects of each draw, at these places."""
    return effects[:, slope, None] * at + effects[:, bend, None] * at**2


def interval(values: FloatArray) -> str:
    """The fit's own value, with where 90% of the draws lie."""
    low, high = np.percentile(values[1:], LEVEL)
    return f"{values[0]:.2f} [{low:.2f}, {high:.2f}]"


def arm_of(name: str, *, is_large: bool, steps: int, batch_sequences: int) -> Arm:
    """What a recipe does at a rung."""
    recipe = find_recipe(name)
    return Arm(
        is_large=is_large,
        rate=recipe.base_learning_rate,
        decay=recipe.weight_decay_factor,
        warmup=max(recipe.warmup_share, recipe.min_warmup_steps / steps),
        is_wsd=recipe.schedule == "wsd",
        batch_sequences=batch_sequences,
    )


def fitted(table: pd.DataFrame) -> Tuned:
    """Least squares over the arms at the two rungs that state their rates alike."""
    arms = table[[rung in RUNGS for rung in zip(table.width, table.flops, strict=True)]]
    rows = np.array(
        [
            Arm(
                is_large=bool(run.width == RUNGS[1][0]),
                rate=run.base_learning_rate,
                decay=run.weight_decay_factor,
                warmup=run.warmup_steps / run.steps,
                is_wsd=run.schedule == "wsd",
                batch_sequences=run.batch_sequences,
            ).row
            for run in arms.itertuples()
        ]
    )
    levels = pd.get_dummies(arms.width.astype(str) + " " + arms.seed.astype(str)).to_numpy(float)
    design, losses = np.hstack([rows, levels]), 100 * np.log(arms.loss.to_numpy(float))
    found, _, rank, _ = np.linalg.lstsq(design, losses, rcond=None)
    variance = float(((losses - design @ found) ** 2).sum() / (len(losses) - rank))
    covariance = variance * np.linalg.inv(design.T @ design)
    count = len(NAMES)
    return Tuned(
        effects=found[:count],
        covariance=covariance[:count, :count],
        residual=variance**0.5,
        runs=len(arms),
    )


def fitted_to_comparable(table: pd.DataFrame) -> Tuned:
    """The fit to the arms that the effects describe."""
    table = table[table.recipe != "cpt-adamw-tiny/2"]  # whose rate falls before its decay
    return fitted(table[table.batch_sequences >= BATCH])


def rung_gaps(tuned: Tuned, recipe: str) -> Iterator[tuple[tuple[int, float], FloatArray]]:
    """Width and FLOP of each of the two rungs, and the recipe's `Tuned.gaps` there."""
    for is_large, plan in enumerate(rung_plans(recipe)):
        settings = plan.settings
        arm = arm_of(
            recipe,
            is_large=bool(is_large),
            steps=settings.steps,
            batch_sequences=settings.batch_sequences,
        )
        shortest = find_recipe(recipe).min_warmup_steps / settings.steps
        yield RUNGS[is_large], tuned.gaps(arm, shortest)


def paired_gap(table: pd.DataFrame, recipe: str, other: str) -> pd.Series:
    """By how many percent the loss of a recipe lies above another's at LAST_RUNG, by seed: of those
    on which both were trained with their own constants."""
    width, flops = LAST_RUNG
    rung = table[(table.width == width) & (table.flops == flops)]
    losses = {}
    for name in (recipe, other):
        own = find_recipe(name)
        is_own = (
            (rung.recipe == name)
            & (rung.base_learning_rate == own.base_learning_rate)
            & (rung.weight_decay_factor == own.weight_decay_factor)
            & (rung.batch_sequences == _batch_at_last_rung(name))
        )
        losses[name] = rung[is_own].groupby("seed")["loss"].mean()  # a run may stand in two tables
    return (100 * np.log(losses[recipe] / losses[other])).dropna()


def _batch_at_last_rung(recipe: str) -> int:
    """Sequences a step of the quick start's held-out run."""
    return next(r.settings.batch_sequences for r in planned([(1, 2)], recipe) if r.held_out)


def arms_around(
    table: pd.DataFrame, recipe: str, width: int, flops: float
) -> tuple[ArmOfCheck, ...]:
    """The arms of one rung around a recipe, the recipe's own first, each with a loss a seed."""
    own = find_recipe(recipe)
    rung = table[(table.recipe == recipe) & (table.width == width) & (table.flops == flops)]
    rung = rung.assign(
        rate=rung.base_learning_rate / own.base_learning_rate,
        decay=rung.weight_decay_factor / own.weight_decay_factor,
    )
    losses = rung.pivot(index=["rate", "decay", "warmup_steps"], columns="seed", values="loss")
    shortest = losses.index.get_level_values("warmup_steps").min()
    arms = [
        ArmOfCheck(
            factors=Factors(rate=rate, decay=decay, warmup=steps / shortest),
            losses=tuple(map(float, of_arm)),
        )
        for (rate, decay, steps), of_arm in zip(losses.index, losses.to_numpy(), strict=True)
    ]
    return tuple(sorted(arms, key=lambda arm: sum(map(abs, arm.factors.steps)) > 1e-9))


def checks_around(table: pd.DataFrame, recipe: str) -> dict[tuple[int, float], RecipeGap]:
    """By width and FLOP, a recipe's gap to the best found on rungs that have arms around it."""
    rungs = (*RUNGS, LAST_RUNG)
    return dict(
        zip(rungs, recipe_gaps([arms_around(table, recipe, *one) for one in rungs]), strict=True)
    )


def rung_plans(recipe: str) -> list[RunPlan]:
    """What a recipe plans at the two rungs."""
    return [
        next(r for r in planned([(1, 2)], recipe) if _is_at(r, width, flops))
        for width, flops in RUNGS
    ]


def _is_at(run: RunPlan, width: int, flops: float) -> bool:
    return run.shape.width == width and abs(run.train_flops / flops - 1) < 0.01


def main(argv: Sequence[str] | None = None) -> None:
    """Fit the arms, print what each constant is worth and how far the recipes are from the best."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    tuned = fitted_to_comparable(pd.read_csv(arguments.table))
    print(f"{tuned.runs} runs, residual {tuned.residual:.2f}% of the loss")
    errors = np.sqrt(np.diag(tuned.covariance))
    for name, effect, error in zip(NAMES, tuned.effects, errors, strict=True):
        print(f"{name:22}{effect:+7.2f} +- {error:.2f}")
    for is_large, (width, flops) in zip((False, True), RUNGS, strict=True):
        times = interval(tuned.best_rates(is_large) / RATE)
        print(f"best rate at {width} : {flops:g}: {times} times {RATE}")
    print(f"best weight decay factor: {interval(tuned.best_decays())}")
    document: dict[str, Any] = {"runs": tuned.runs, "residual": tuned.residual, "gaps": {}}
    for name, ((width, flops), gaps) in [
        (r, rung) for r in RECIPES for rung in rung_gaps(tuned, r)
    ]:
        rung = f"{width} : {flops:g}"
        document["gaps"][f"{name} {rung}"] = [gaps[0], *np.percentile(gaps[1:], LEVEL)]
        print(f"gap of {name} at {rung}: {interval(gaps)}%")
    around = pd.read_csv(AROUND)
    for (width, flops), gap in checks_around(around, RECIPES[-1]).items():
        own, *others = arms_around(around, RECIPES[-1], width, flops)
        seeds = int(np.isfinite(own.losses).sum())
        rung = f"{width} : {flops:g}"
        document["gaps"][f"around {RECIPES[-1]} {rung}"] = [gap.gap, gap.stderr]
        print(
            f"{RECIPES[-1]} at {rung}, {counted(seeds, 'seed')}: gap to the best found "
            f"{100 * gap.gap:.2f} +- {100 * gap.stderr:.2f}% ({gap.words})"
        )
        for arm in others:
            above = 100 * np.log(np.array(arm.losses) / np.array(own.losses))
            above = above[np.isfinite(above)]
            changed = {k: round(v, 2) for k, v in vars(arm.factors).items() if abs(v - 1) > 1e-9}
            error = above.std(ddof=1) / len(above) ** 0.5 if len(above) > 1 else np.nan
            print(f"  {changed}: {above.mean():+.2f} +- {error:.2f}% ({len(above)})")
    if arguments.output:
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
