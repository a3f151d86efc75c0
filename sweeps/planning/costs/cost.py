"""What a plan still costs, rung by rung, and whether its budget allows that."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.sweep import BudgetConfig
from sweeps.planning.costs.throughput import Throughput
from sweeps.planning.exclusions import excluded_runs, final_states
from sweeps.planning.packing import runs_with_states
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan


def money(device_hours: float, price_per_device_hour: float | None) -> float | None:
    """What so many hours of one device cost, in the price's currency; None without a price."""
    return None if price_per_device_hour is None else price_per_device_hour * device_hours


@dataclass(frozen=True, kw_only=True)
class RungCost:
    """What the runs of one model size that are still to be trained will take."""

    params: int
    runs: int
    flops: int
    device_hours: float


@dataclass(frozen=True, kw_only=True)
class PlanCost:
    """What is still to be spent on a plan."""

    rungs: tuple[RungCost, ...]  # by ascending size
    throughput: Throughput
    store_error: str = ""  # why the run store could not be asked what is done; empty: it was
    price_per_device_hour: float | None
    currency: str

    @property
    def is_measured(self) -> bool:
        """Whether it rests on finished runs; otherwise it is a guess from the sizes."""
        return self.throughput.is_measured

    @property
    def flops(self) -> int:
        """FLOP of all rungs."""
        return sum(rung.flops for rung in self.rungs)

    @property
    def device_hours(self) -> float:
        """Hours of one device of all rungs."""
        return sum(rung.device_hours for rung in self.rungs)

    @property
    def money(self) -> float | None:
        """In the currency; None without a price."""
        return money(self.device_hours, self.price_per_device_hour)

    def document(self) -> dict[str, Any]:
        """What a JSON document says of it."""
        return {
            "flops": self.flops,
            "device_hours": self.device_hours,
            "money": self.money,
            "currency": self.currency,
            "price_per_device_hour": self.price_per_device_hour,
            "is_measured": self.is_measured,
            "store_error": self.store_error,
            "rungs": [asdict(rung) for rung in self.rungs],
        }


def flops_to_spend(
    plan: SweepPlan, known: Mapping[str, Mapping[str, Any]], *, driven: bool
) -> dict[str, int]:
    """The FLOP that each run of a plan that has not ended, by run id, has still to be given.

    What an unfinished run has spent counts as done where it goes on: while its sweep is `driven`,
    and where its state lies in `launch.checkpoints.folder`. Else it begins again.
    """
    final, excluded = final_states(plan.config.launch), excluded_runs(plan)
    wanted = [run for run in plan.runs if run.run_id not in excluded]
    kept = runs_with_states(wanted, plan.config.launch)
    left = {}
    for run in wanted:
        facts = known.get(run.run_id, {})
        status = facts.get("status", RunState.PLANNED)
        goes_on = run.run_id in kept or (driven and status == RunState.RUNNING)
        spent = facts.get("marginal_flops", 0) if goes_on else 0
        if status not in final:
            left[run.run_id] = max(0, run.marginal_flops - spent)
    return left


def plan_cost(
    plan: SweepPlan,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    driven: bool = False,
    store_error: str = "",
) -> PlanCost:
    """The cost of what the runs of a plan have still to be trained, from what finished ones took.

    `known` holds the facts of the runs in the store (`RunStore.facts`), none before the first;
    `driven` says whether somebody trains them at this moment, `store_error` why nobody knows.
    """
    facts = dict(known or {})
    left = flops_to_spend(plan, facts, driven=driven)
    throughput = Throughput.measured(facts.values(), plan.config.launch.speed.flops_per_second)
    sizes: dict[int, list[RunPlan]] = {}
    for run in plan.runs:
        if run.run_id in left:
            sizes.setdefault(run.shape.params, []).append(run)
    rungs = []
    for params, runs in sorted(sizes.items()):
        seconds = sum(
            throughput.seconds(run) * left[run.run_id] / run.marginal_flops for run in runs
        )
        rungs.append(
            RungCost(
                params=params,
                runs=len(runs),
                flops=sum(left[run.run_id] for run in runs),
                device_hours=seconds * plan.config.launch.world_size / 3600,
            )
        )
    budget = plan.config.budget
    return PlanCost(
        rungs=tuple(rungs),
        throughput=throughput,
        store_error=store_error,
        price_per_device_hour=budget.price_per_device_hour,
        currency=budget.currency,
    )


def timed(plan: SweepPlan, cost: PlanCost) -> SweepPlan:
    """The plan with the seconds of its runs as finished ones tell them, where some have."""
    if not cost.is_measured:
        return plan
    seconds = {run.run_id: cost.throughput.seconds(run) for run in plan.runs}
    return replace(plan, measured_seconds=seconds)


def check_budget(cost: PlanCost, budget: BudgetConfig) -> None:
    """Raise ConfigError where a plan costs more than it may."""
    for name, unit, planned, most in (
        ("flops", "FLOP", cost.flops, budget.flops),
        ("device_hours", "device hours", cost.device_hours, budget.device_hours),
        ("cost", budget.currency, cost.money, budget.cost),
    ):
        if most is not None and planned is not None and planned > most:
            raise ConfigError(
                f"what is left to train is estimated at {planned:.3g} {unit}, more than "
                f"budget.{name} {most:.3g}; drop or exclude runs, or raise the budget"
            )
