"""Runs that are planned once more with other constants of their recipe, and what checks cost.

A check of a rung takes eleven arms. Three learning rates on the rule tell the rate's curvature; the
eight corners of a 2^(4-1) fractional factorial with batch = rate x decay x warm-up (resolution IV:
no constant is confounded with a pair) tell the slopes, each by all eight. Arms of one batch are one
stack, so a check takes three. Where a sweep cannot afford them, the short check has four corners
in place of eight: decay and warm-up with batch = decay x warm-up, at the rule's learning rate, for
which the three rates answer.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from scaling.extra_columns.recipe_arms import Factors
from scaling.words import counted
from sweeps.config.recipe import Recipe, find_recipe
from sweeps.config.sweep import HealthConfig
from sweeps.models.family import Shape
from sweeps.planning.exclusions import excluded_runs
from sweeps.planning.hyper_parameters.recipe import settings_for
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan

#: Corners lie half a step away in the learning rate, whose curvature is the largest.
_CORNER_RATE = 0.5
CORNERS: tuple[Factors, ...] = tuple(
    Factors.at((_CORNER_RATE * rate, decay, warmup, rate * decay * warmup))
    for rate, decay, warmup in product((-1, 1), repeat=3)
)
#: Of the short check, a 2^(3-1): each slope is confounded with a pair, whose bends are small.
FEW_CORNERS: tuple[Factors, ...] = tuple(
    Factors.at((0, decay, warmup, decay * warmup)) for decay, warmup in product((-1, 1), repeat=2)
)
_LONGEST_WARMUP = 0.5  # of the steps


@dataclass(frozen=True, kw_only=True)
class PlannedCheck:
    """The check of one rung: the run that carries it, what is tried, and how many seeds it
    averages."""

    run: RunPlan
    seeds: int
    arms: int
    """A seed, with those of the learning rate and a second recipe."""
    corners: tuple[Factors, ...]
    """Arms in which several constants change at once; none where the learning rate alone is
    varied."""
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
    least_flops: int
    """Of the least check of every rung: the short one, one seed."""

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
                | {"arms": check.arms, "flops": check.flops}
                for check in self.checks
            ],
            "left_out": [run.name for run in self.left_out],
            "least_flops": self.least_flops,
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
    """Which rungs of a sweep are checked, each by which arms and with how many seeds.

    The check of learning rates alone takes every rung with `health.seeds`. That of recipes keeps to
    `health.most_share` of the sweep's FLOP: first the short check of every rung, from the cheapest
    on, then the whole one of each, then a further seed of each, as long as it lasts.
    """
    health, excluded = plan.config.health, excluded_runs(plan)
    if not (health.check_learning_rate or health.check_recipe):
        return PlannedChecks(
            checks=(),
            left_out=(),
            of_recipe=False,
            sweep_flops=plan.marginal_flops,
            least_flops=0,
        )
    carriers = sorted(
        rungs(run for run in plan.runs if run.run_id not in excluded).values(),
        key=lambda run: run.train_flops,
    )
    sizes: list[tuple[int, tuple[Factors, ...]]] = [(health.seeds, ())]
    budget = math.inf
    if health.check_recipe:
        whole = [(seeds, CORNERS) for seeds in range(1, health.seeds + 1)]
        sizes, budget = [(1, FEW_CORNERS), *whole], health.most_share * plan.marginal_flops
    further = len(health.factors) + (health.check_recipe and other_recipe(health) is not None)
    checks = [
        [
            PlannedCheck(
                run=run,
                seeds=seeds,
                arms=further + len(corners),
                corners=corners,
                flops=seeds * (further + len(corners)) * run.train_flops,
            )
            for seeds, corners in sizes
        ]
        for run in carriers
    ]
    levels = _levels_within([[check.flops for check in of_run] for of_run in checks], budget)
    return PlannedChecks(
        checks=tuple(
            of_run[level - 1] for of_run, level in zip(checks, levels, strict=True) if level
        ),
        left_out=tuple(run for run, level in zip(carriers, levels, strict=True) if not level),
        of_recipe=health.check_recipe,
        sweep_flops=plan.marginal_flops,
        least_flops=sum(of_run[0].flops for of_run in checks),
    )


def _levels_within(costs: Sequence[Sequence[int]], budget: float) -> list[int]:
    """Up to which level (0: none) each of several things is bought within a budget; costs are those
    of each by level. All get a level before any has the next, the first ones first."""
    levels, spent = [0] * len(costs), 0
    for level in range(max(map(len, costs), default=0)):
        for place, of_one in enumerate(costs):
            more = of_one[level] - (of_one[level - 1] if level else 0)
            if levels[place] == level and spent + more <= budget:
                levels[place], spent = level + 1, spent + more
    return levels


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
        f"{counted(check.arms, 'arm')}, {counted(check.seeds, 'seed')})"
        for check in planned.checks
    )
    lines = [
        f"checks of {counted(len(planned.checks), 'rung')}, {what}: {said or 'none'}; "
        f"{planned.flops:.2g} FLOP beside the sweep's, {_percent(planned.share)} of them"
    ]
    if planned.left_out:
        widths = ", ".join(f"width {run.shape.width}" for run in planned.left_out)
        least = planned.least_flops / planned.sweep_flops
        lines.append(
            f"  not checked, since health.most_share is {health.most_share:g}: {widths}; the least "
            f"check of every rung would cost {_percent(least)}"
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if math.isfinite(share) else "-"
