"""Does another recipe train a rung better? Learning rates, the corners of all constants, and
perhaps a second recipe, on the seeds and data of one run.

What the losses say is the analysis's affair (`analysis.tuning.response`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scaling.extra_columns.recipe_arms import Arm, Factors, arms_text
from sweeps.config.launch import LaunchConfig
from sweeps.config.recipe import Recipe
from sweeps.data.sources.base import Corpus
from sweeps.planning.packing import stack_key
from sweeps.planning.run_plan import RunPlan
from sweeps.planning.variants.arms import CORNERS, arm_recipe, realised, with_recipe
from sweeps.training.learning_rate_check import (
    ON_CPU,
    LearningRateCheck,
    check_learning_rate,
    sequence_losses,
)


@dataclass(frozen=True, kw_only=True)
class RecipeCheck:
    """The losses of a rung under other recipes."""

    learning_rate: LearningRateCheck
    arms: tuple[Arm, ...]
    """The learning rates among them."""

    def record(self) -> dict[str, float | str]:
        """Columns of the records table, on the row of the run that was checked."""
        return self.learning_rate.record() | {"recipe_arms": arms_text(self.arms)}


def check_recipe(
    plan: RunPlan,
    corpus: Corpus,
    recipe: Recipe,
    factors: Sequence[float],
    corners: Sequence[Factors] = CORNERS,
    *,
    seeds: int = 1,
    against: Recipe | None = None,
    launch: LaunchConfig = ON_CPU,
    on_step: Callable[[], None] = lambda: None,
) -> RecipeCheck:
    """Train the run at these factors of its learning rate, at these corners of rate, decay, warm-up
    and batch, and by the recipe ``against``.

    All are runs of their own, with the run's tokens; of a branch of a trunk, as it would be alone.
    """
    own = with_recipe(plan, recipe)
    rate = check_learning_rate(own, corpus, factors, seeds=seeds, launch=launch, on_step=on_step)
    arms = [
        Arm(factors=Factors(rate=factor), losses=losses)
        for factor, losses in zip(rate.factors, rate.seed_losses, strict=True)
    ]
    others: list[tuple[Arm, RunPlan]] = []
    for corner in corners:
        run = with_recipe(plan, arm_recipe(recipe, corner))
        others.append((Arm(factors=realised(corner, run, own), losses=()), run))
    if against is not None:
        arm = Arm(factors=Factors(), losses=(), recipe=against.name)
        others.append((arm, with_recipe(plan, against)))
    stacks: dict[object, list[tuple[Arm, RunPlan]]] = {}
    for arm, run in others:
        stacks.setdefault(stack_key(run), []).append((arm, run))
    for stack in stacks.values():
        seeded = [replace(run, seed=run.seed + more) for _, run in stack for more in range(seeds)]
        losses = sequence_losses(seeded, corpus, launch=launch, on_step=on_step).mean(axis=1)
        for (arm, _), found in zip(stack, np.split(losses, len(stack)), strict=True):
            arms.append(replace(arm, losses=tuple(map(float, found))))
    return RecipeCheck(learning_rate=rate, arms=tuple(arms))
