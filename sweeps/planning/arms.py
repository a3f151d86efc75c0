"""Runs that are planned once more with other constants of their recipe, and what checks cost.

A check of a rung takes eleven arms. Three learning rates on the rule tell the rate's curvature; the
eight corners of a 2^(4-1) fractional factorial with batch = rate x decay x warm-up (resolution IV:
no constant is confounded with a pair) tell the slopes, each by all eight. Arms of one batch are one
stack, so a check takes three.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from scaling.recipe_arms import Factors
from scaling.words import counted
from sweeps.config.recipe import Recipe, find_recipe
from sweeps.config.sweep import HealthConfig
from sweeps.models.family import Shape
from sweeps.planning.exclusions import excluded_runs
from sweeps.planning.plan import SweepPlan
from sweeps.planning.recipe import settings_for
from sweeps.planning.run_plan import RunPlan

#: Corners lie half a step away in the learning rate, whose curvature is the largest.
_CORNER_RATE = 0.5
CORNERS: tuple[Factors, ...] = tuple(
    Factors.at((_CORNER_RATE * rate, decay, warmup, rate * decay * warmup))
    for rate, decay, warmup in product((-1, 1), repeat=3)
)
_LONGEST_WARMUP = 0.5  # of the steps


@dataclass(frozen=True, kw_only=True)
class PlannedCheck:
    """The check of one rung: the run that carries it, and how many seeds it averages."""

    run: RunPlan
    seeds: int
    flops: int


@dataclass(frozen=True, kw_only=True)
class PlannedChecks:
    """The checks of a sweep."""

    checks: tuple[PlannedCheck, ...]
    """By ascending FLOP of the runs that carry them."""
    left_out: tuple[RunPlan, ...]
    """Carriers whose check would cost more than `health.most_share` allows."""
    of_recipe: bool
    """Whether more than the learning rate is varied."""
    sweep_flops: int

    @property
    def flops(self) -> int:
        """What they cost together, unless a best learning rate lies outside what is tried: two
        arms more tell where."""
        return sum(check.flops for check in self.checks)

    @property
    def share(self) -> float:
        """Their FLOP over the sweep's."""
        return self.flops / self.sweep_flops

    def document(self) -> dict[str, Any]:
        """What a JSON document says of them."""
        return {
            "of_recipe": self.of_recipe,
            "flops": self.flops,
            "share": self.share,
            "rungs": [
                {"run_id": check.run.run_id, "name": check.run.name, "seeds": check.seeds}
                | {"flops": check.flops}
                for check in self.checks
            ],
            "left_out": [run.name for run in self.left_out],
        }


def arm_recipe(recipe: Recipe, factors: Factors) -> Recipe:
    """The recipe with its constants times these factors."""
    return dataclasses.replace(
        recipe,
        base_learning_rate=recipe.base_learning_rate * factors.rate,
        max_hidden_learning_rate=recipe.max_hidden_learning_rate * factors.rate,
        weight_decay_factor=recipe.weight_decay_factor * factors.decay,
        warmup_share=min(_LONGEST_WARMUP, recipe.warmup_share * factors.warmup),
        base_batch_tokens=recipe.base_batch_tokens * factors.batch,
        min_batch_sequences=max(1, round(recipe.min_batch_sequences * factors.batch)),
    )


def with_recipe(run: RunPlan, recipe: Recipe) -> RunPlan:
    """A run of its own, of the same shape and tokens, as this recipe trains it."""
    return dataclasses.replace(
        run,
        settings=settings_for(recipe, run.shape, run.tokens),
        recipe=recipe.name,
        recipe_hash=recipe.hash,
        held_out=False,
        branch=None,
    )


def realised(factors: Factors, run: RunPlan, own: RunPlan) -> Factors:
    """The factors by which a planned arm differs from the recipe's own run: whole steps and whole
    sequences are rounded."""
    share = run.settings.warmup_steps / run.settings.steps
    own_share = own.settings.warmup_steps / own.settings.steps
    return Factors(
        rate=factors.rate,
        decay=factors.decay,
        warmup=share / own_share if factors.warmup != 1 and share and own_share else 1.0,
        batch=run.settings.batch_sequences / own.settings.batch_sequences,
    )


def other_recipe(health: HealthConfig) -> Recipe | None:
    """The recipe that `health.against` names."""
    against = health.against
    return find_recipe(against.name, dict(against.overrides)) if against.name else None


def rungs(runs: Iterable[RunPlan]) -> dict[Shape, RunPlan]:
    """The run of each shape that carries its check: the cheapest that fits may use."""
    fitted = [run for run in runs if not run.held_out]
    ordered = sorted(fitted, key=lambda run: (run.train_flops, run.seed), reverse=True)
    return {run.shape: run for run in ordered}


def planned_checks(plan: SweepPlan) -> PlannedChecks:
    """Which rungs of a sweep are checked, each with how many seeds.

    The check of learning rates alone takes every rung with `health.seeds`. That of recipes keeps to
    `health.most_share` of the sweep's FLOP: first one seed a rung, from the cheapest on, then
    another seed each, as long as it lasts.
    """
    health, excluded = plan.config.health, excluded_runs(plan)
    if not (health.check_learning_rate or health.check_recipe):
        return PlannedChecks(
            checks=(), left_out=(), of_recipe=False, sweep_flops=plan.marginal_flops
        )
    carriers = sorted(
        rungs(run for run in plan.runs if run.run_id not in excluded).values(),
        key=lambda run: run.train_flops,
    )
    arms = len(health.factors)
    if health.check_recipe:
        arms += len(CORNERS) + (other_recipe(health) is not None)
        seeds = _seeds_within(
            [arms * run.train_flops for run in carriers],
            health.seeds,
            health.most_share * plan.marginal_flops,
        )
    else:
        seeds = [health.seeds] * len(carriers)
    return PlannedChecks(
        checks=tuple(
            PlannedCheck(run=run, seeds=count, flops=count * arms * run.train_flops)
            for run, count in zip(carriers, seeds, strict=True)
            if count
        ),
        left_out=tuple(run for run, count in zip(carriers, seeds, strict=True) if not count),
        of_recipe=health.check_recipe,
        sweep_flops=plan.marginal_flops,
    )


def _seeds_within(costs: Sequence[int], most_seeds: int, budget: float) -> list[int]:
    """How many seeds of each (its cost a seed) a budget allows: one each before two of any."""
    counts, spent = [0] * len(costs), 0
    for _ in range(most_seeds):
        before = list(counts)
        for place, cost in enumerate(costs):
            if before[place] == max(before) and spent + cost <= budget:
                counts[place] += 1
                spent += cost
    return counts


def checks_text(planned: PlannedChecks, health: HealthConfig) -> str:
    """What is checked at what cost; empty where nothing is."""
    if not (health.check_learning_rate or health.check_recipe):
        return ""
    what = "learning rate alone"
    if planned.of_recipe:
        what = "learning rate, weight decay, warm-up and batch (a batch of its own is a stack)"
        what += f", and {health.against.name}" if health.against.name else ""
    said = ", ".join(
        f"width {check.run.shape.width} ({check.run.train_flops:.2g} FLOP, "
        f"{counted(check.seeds, 'seed')})"
        for check in planned.checks
    )
    lines = [
        f"checks of {counted(len(planned.checks), 'rung')}, {what}: {said or 'none'}; "
        f"{planned.flops:.2g} FLOP beside the sweep's, {_percent(planned.share)} of them"
    ]
    if planned.left_out:
        widths = ", ".join(f"width {run.shape.width}" for run in planned.left_out)
        lines.append(f"  not checked, since health.most_share is {health.most_share:g}: {widths}")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if math.isfinite(share) else "-"
