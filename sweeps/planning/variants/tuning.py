"""What `scaling study tune` trains: two rungs of a sweep under other recipes, and a third to judge.

All of it is runs of an ordinary sweep beside the tuned one (`NAME-tune`), so it is packed, stored
and taken up again as any other. Rounds follow each other: the second is around what the first found
(`analysis.tuning.tuned_recipe`), so its runs follow from the losses of the first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from scaling.errors import ConfigError
from scaling.extra_columns.recipe_arms import STEPS, Arm, Factors
from scaling.words import counted
from sweeps.config.recipe import Recipe
from sweeps.config.sweep import HealthConfig, SweepConfig, recipe_of
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan
from sweeps.planning.variants.arms import CORNERS, arm_recipe, realised, rungs, with_recipe

#: FLOP that tuning may take over the sweep's, where nothing is said.
DEFAULT_SHARE = 0.25
#: Rounds of arms: the first on the recipe, the second on the best that it found.
RATES = (0.56, 1.0, 1.8)
_FIRST = (*(Factors(rate=rate) for rate in RATES), *CORNERS)
#: The other half of the factorial: where the centre has not moved, the two halves are the whole.
_SECOND = (
    Factors(),
    *(Factors.at((r / 2, d, w, -r * d * w)) for r, d, w in product((-1, 1), repeat=3)),
)
ARMS = (len(_FIRST), len(_SECOND))
_MOST_SEEDS, _JUDGED_SEEDS, _JUDGED_SHARE = 4, 2, 0.35
#: Seeds of arms begin so far above the sweep's: what is chosen on them is no choice on its runs.
_SEEDS_ABOVE = 100


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """Which rungs are used, how often, and which one judges what they found."""

    sweep: SweepPlan
    used: tuple[RunPlan, ...]
    """The cheapest run of each rung that is used."""
    judged: RunPlan | None
    """The cheapest run of a rung that is not; None where there is none, or no budget for it."""
    rounds: int
    seeds: int
    judged_seeds: int
    budget: float

    @property
    def name(self) -> str:
        """Of the sweep that all its runs belong to."""
        return f"{self.sweep.name}-tune"

    @property
    def recipe(self) -> Recipe:
        """What is tuned: the sweep's recipe with its overrides."""
        return recipe_of(self.sweep.config)

    @property
    def flops(self) -> int:
        """What all rounds and the judgement cost."""
        arms = sum(ARMS[: self.rounds])
        used = self.seeds * arms * sum(run.train_flops for run in self.used)
        judged = 0 if self.judged is None else 2 * self.judged_seeds * self.judged.train_flops
        return used + judged

    def round(self, number: int, centre: Factors) -> dict[int, list[tuple[Factors, RunPlan]]]:
        """By place in `used`, the arms of a round (0 the first) around a centre, a run a seed."""
        design = (_FIRST, _SECOND)[number]
        return {
            place: [
                arm for factors in design for arm in self._arm(run, times(centre, factors), seeds)
            ]
            for place, run in enumerate(self.used)
            for seeds in [self._seeds(self.seeds)]
        }

    def judgement(self, best: Factors) -> list[tuple[Factors, RunPlan]]:
        """The recipe and the tuned one on the rung that was not used."""
        if self.judged is None:
            return []
        seeds = self._seeds(self.judged_seeds)
        return [arm for f in (Factors(), best) for arm in self._arm(self.judged, f, seeds)]

    def as_sweep(self, arms: Iterable[tuple[Factors, RunPlan]]) -> SweepPlan:
        """The runs of these arms as a sweep beside the tuned one."""
        runs = {run.run_id: run for _, run in arms}
        config = replace(self.sweep.config, name=self.name, health=HealthConfig(), exclude=())
        ordered = sorted(runs.values(), key=lambda run: (run.train_flops, run.seed))
        return SweepPlan(config=config, runs=tuple(ordered))

    def _seeds(self, count: int) -> range:
        first = max(run.seed for run in self.sweep.runs) + _SEEDS_ABOVE
        return range(first, first + count)

    def _arm(
        self, run: RunPlan, factors: Factors, seeds: Iterable[int]
    ) -> list[tuple[Factors, RunPlan]]:
        own = with_recipe(run, self.recipe)
        planned = with_recipe(run, arm_recipe(self.recipe, factors))
        is_own = not any(np.abs(factors.steps) > 1e-9)
        found = Factors() if is_own else realised(factors, planned, own)
        return [(found, replace(planned, seed=seed)) for seed in seeds]


def plan_tuning(sweep: SweepPlan, budget: float | None = None) -> TuningPlan:
    """The smallest rung and one half-way up, and a run of another rung to judge, within a budget in
    FLOP. What the arms leave of it goes to the judge: the dearest fitted run that it buys, as the
    sweep's largest run lies beyond them all.

    Two rounds on two rungs where the budget allows it, else fewer rungs and rounds. Raises
    ConfigError where it does not reach for one round on the smallest rung.
    """
    if budget is None:
        budget = DEFAULT_SHARE * sweep.marginal_flops
    carriers = sorted(rungs(sweep.runs).values(), key=lambda run: run.train_flops)
    middle = (len(carriers) - 1) // 2
    used = carriers[:1] if middle == 0 else [carriers[0], carriers[middle]]
    if len(carriers) == 3:
        used = carriers[:2]
    for rungs_used in (used, used[:1]):
        judges = _judges(sweep, used)
        kept = min((2 * run.train_flops for run in judges), default=0)
        if kept > _JUDGED_SHARE * budget:
            judges, kept = [], 0
        of_arms = sum(run.train_flops for run in rungs_used)
        for rounds in (2, 1):
            of_seed = sum(ARMS[:rounds]) * of_arms
            seeds = min(_MOST_SEEDS, int((budget - kept) // of_seed))
            if seeds:
                judge, judged_seeds = _judge(judges, budget - seeds * of_seed)
                return TuningPlan(
                    sweep=sweep,
                    used=tuple(rungs_used),
                    judged=judge,
                    rounds=rounds,
                    seeds=seeds,
                    judged_seeds=judged_seeds,
                    budget=budget,
                )
    least = ARMS[0] * carriers[0].train_flops
    raise ConfigError(
        f"--budget: {budget:.3g} FLOP; one round of {counted(ARMS[0], 'arm')} on the smallest rung "
        f"takes {least:.3g}: give more, or add a cheaper cell to the sweep"
    )


def _judges(sweep: SweepPlan, used: Sequence[RunPlan]) -> list[RunPlan]:
    """Fitted runs of shapes that are not used, and no cheaper than those that are."""
    shapes, least = {run.shape for run in used}, max(run.train_flops for run in used)
    return [
        run
        for run in sweep.runs
        if not run.held_out and run.shape not in shapes and run.train_flops >= least
    ]


def _judge(judges: Sequence[RunPlan], budget: float) -> tuple[RunPlan | None, int]:
    """The dearest of them that a budget buys with two recipes, and with how many seeds."""
    bought = [run for run in judges if 2 * run.train_flops <= budget]
    if not bought:
        return None, 0
    judge = max(bought, key=lambda run: (run.train_flops, run.shape.params))
    return judge, min(_JUDGED_SEEDS, int(budget // (2 * judge.train_flops)))


def arms_of(
    planned: Sequence[tuple[Factors, RunPlan]], losses: Mapping[str, float]
) -> tuple[Arm, ...]:
    """Planned arms with the losses of their runs (by run id; one that has none diverged)."""
    found: dict[Factors, dict[int, float]] = {}
    for factors, run in planned:
        found.setdefault(factors, {})[run.seed] = losses.get(run.run_id, float("nan"))
    seeds = sorted({run.seed for _, run in planned})
    return tuple(
        Arm(factors=factors, losses=tuple(one.get(seed, float("nan")) for seed in seeds))
        for factors, one in found.items()
    )


def tuned_config(config: SweepConfig, best: Factors, provenance: str) -> SweepConfig:
    """The sweep with the tuned constants as overrides of its recipe, under a name of its own."""
    recipe = recipe_of(config)
    tuned = arm_recipe(recipe, best)
    changed: dict[str, float | str] = {
        name: value if isinstance(value, int) else float(f"{value:.4g}")
        for name, value in vars(tuned).items()
        if value != getattr(recipe, name)
    }
    overrides = dict(config.recipe.overrides) | changed
    block = config.recipe.changed(overrides=overrides, provenance=provenance)
    return replace(config, name=f"{config.name}-tuned", recipe=block)


def times(centre: Factors, factors: Factors) -> Factors:
    """Factors on top of others."""
    return Factors(**{name: getattr(centre, name) * getattr(factors, name) for name in STEPS})
