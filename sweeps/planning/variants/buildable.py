"""What runs a config's recipe could still train, and the config that trains some of them.

Sizes are those of the plan and larger ones by steps of a third, of the same depth as the nearest;
budgets are those of the plan and halves of what may be spent. What a device cannot hold, what is
longer than the text allows and what has other tokens per parameter than the plan is left out.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scaling.errors import ConfigError
from sweeps.config.sweep import Grid, SweepConfig
from sweeps.models.family import encoder_apart
from sweeps.planning.costs.memory import device_bytes, state_bytes
from sweeps.planning.plan import SweepPlan, cell_runs, plan_sweep
from sweeps.planning.run_plan import RunPlan

_WIDER, _DEARER = 4 / 3, 2.0
_ROOM = 2.0  # times the tokens per parameter of the plan, and half of them
_WIDEST = 8.0  # times the widest of the plan
_MOST_BUDGETS = 16
_NEAR = 0.15  # ln: a budget so near to one of the plan is that


@dataclass(frozen=True, kw_only=True)
class BuildableRun:
    """A run that the recipe builds, and the cell that asks for it."""

    run: RunPlan  # of the first seed
    cell: Grid  # one width, one depth, one budget
    seeds: tuple[int, ...]  # that the plan has of it; of its shape, where it may share a trunk

    @property
    def trunk(self) -> str:
        """What runs whose past it may share have in common; empty where each is trained alone."""
        if self.run.settings.schedule != "wsd":
            return ""
        return f"{self.cell.width} {self.cell.depth} {self.cell.encoder_depth}"

    @property
    def shared_flops(self) -> int:
        """What longer branches of its trunk need not pay again."""
        settings = self.run.settings
        if settings.schedule != "wsd":
            return 0
        return self.run.train_flops * settings.fork_step // settings.steps

    def new_seeds(self, times: int, first: int) -> tuple[int, ...]:
        """So many seeds from ``first`` on that the plan does not have of it."""
        free = (seed for seed in itertools.count(first) if seed not in self.seeds)
        return tuple(itertools.islice(free, times))


def buildable_runs(plan: SweepPlan, most_flops: float) -> tuple[BuildableRun, ...]:
    """The runs that a sweep's recipe can train for at most so much each, dearest first.

    Raises ConfigError where the plan has no fitted run.
    """
    fitted = [run for run in plan.runs if not run.held_out]
    if not fitted:
        raise ConfigError("the plan has no run that fits may use; give grid.width and a horizon")
    ratios = [run.tokens / run.shape.params for run in fitted]
    have = device_bytes(plan.config.launch)
    budgets = _budgets([run.train_flops for run in fitted], most_flops)
    found = []
    for cell in _cells(plan, fitted, budgets):
        run = _planned(plan, cell)
        if run is None or run.train_flops > most_flops:
            continue
        ratio = run.tokens / run.shape.params
        if not min(ratios) / _ROOM <= ratio <= max(ratios) * _ROOM:
            continue
        if have is not None and state_bytes(run, plan.config.launch) > have:
            continue
        shared = run.settings.schedule == "wsd"  # the branches of one trunk have one seed
        seeds = {
            other.seed
            for other in fitted
            if other.shape == run.shape and (shared or other.tokens == run.tokens)
        }
        found.append(BuildableRun(run=run, cell=cell, seeds=tuple(sorted(seeds))))
    alike = {(one.run.shape, one.run.tokens): one for one in found}  # whole steps
    return tuple(sorted(alike.values(), key=lambda one: -one.run.train_flops))


def with_runs(
    config: SweepConfig, chosen: Iterable[tuple[BuildableRun, int]], *, check_learning_rate: bool
) -> SweepConfig:
    """The config with further cells: each of the runs, so many times under new seeds."""
    first = (config.grid.seed or (1,))[0]
    by_seed: dict[tuple[Grid, int], list[float]] = {}
    for one, times in chosen:
        shape = replace(one.cell, flops=(), seed=())
        for seed in one.new_seeds(times, first):
            by_seed.setdefault((shape, seed), []).extend(one.cell.flops)
    cells: dict[tuple[Grid, tuple[float, ...]], list[int]] = {}
    for (shape, seed), flops in by_seed.items():
        cells.setdefault((shape, tuple(sorted(flops))), []).append(seed)
    new = tuple(
        replace(shape, flops=flops, seed=tuple(sorted(seeds)))
        for (shape, flops), seeds in cells.items()
    )
    changed = config.changed(cells=(*config.cells, *new))
    if check_learning_rate:
        changed = changed.changed(health={"check_learning_rate": True})
    return changed


def added_runs(before: SweepPlan, after: SweepConfig) -> tuple[RunPlan, ...]:
    """The runs that a changed config plans beyond those of a plan."""
    known = {run.run_id for run in before.runs}
    return tuple(run for run in plan_sweep(after).runs if run.run_id not in known)


def checks_flops(plan: SweepPlan) -> float | None:
    """What checks of the learning rate of every shape would take; None where they are on, or cannot
    be had."""
    launch, health = plan.config.launch, plan.config.health
    if health.check_learning_rate or launch.resources.strategy == "fsdp":
        return None
    cheapest: dict[object, int] = {}
    for run in plan.runs:
        if not run.held_out:
            cheapest[run.shape] = min(run.train_flops, cheapest.get(run.shape, run.train_flops))
    return float(sum(cheapest.values()) * len(health.factors) * health.seeds)


def _budgets(planned: Sequence[int], most: float) -> list[float]:
    """Budgets to try: those of the plan, and the dearest that may be spent with its halves."""
    smallest = min(planned)
    halves = [most / _DEARER**k for k in range(_MOST_BUDGETS) if most / _DEARER**k >= smallest]
    own = {float(f"{flops:.3g}") for flops in planned if flops <= most}
    new = [flops for flops in halves if all(abs(math.log(flops / one)) > _NEAR for one in own)]
    return sorted({*own, *(_rounded_down(flops) for flops in new)})


def _rounded_down(flops: float) -> float:
    """To three digits, and no more than it was."""
    step = 10.0 ** (math.floor(math.log10(flops)) - 2)
    return float(f"{math.floor(flops / step * (1 + 1e-9)) * step:.3g}")


def _cells(plan: SweepPlan, fitted: Sequence[RunPlan], budgets: Sequence[float]) -> Iterator[Grid]:
    head = plan.config.model.head_size
    depths = {run.shape.width: run for run in sorted(fitted, key=lambda run: run.shape.depth)}
    widths, wider = set(depths), float(max(depths))
    while wider <= _WIDEST * max(depths):
        wider *= _WIDER
        widths.add(head * max(1, round(wider / head)))
    for width in sorted(widths):
        like = depths[min(depths, key=lambda known: abs(math.log(known / width)))]
        encoder = encoder_apart(like.shape)
        if encoder is None and plan.config.grid.encoder_depth:
            encoder = like.shape.depth
        for flops in budgets:
            yield Grid(
                width=(width,),
                depth=(like.shape.depth,),
                encoder_depth=() if encoder is None else (encoder,),
                flops=(flops,),
                seed=(1,),
            )


def _planned(plan: SweepPlan, cell: Grid) -> RunPlan | None:
    try:
        return cell_runs(plan, cell)[0]
    except ConfigError:  # too long for the text, or too short for a warm-up
        return None
