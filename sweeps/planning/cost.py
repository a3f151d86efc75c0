"""What a plan still costs, rung by rung, and whether its budget allows that."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scaling.errors import ConfigError
from sweeps.config.sweep import BudgetConfig
from sweeps.planning.exclusions import excluded_runs, final_states
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan
from sweeps.planning.throughput import Throughput


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
    is_measured: bool  # from finished runs; otherwise a guess from the sizes
    price_per_device_hour: float | None
    currency: str

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
            "rungs": [asdict(rung) for rung in self.rungs],
        }


def plan_cost(plan: SweepPlan, known: Iterable[Mapping[str, Any]] = ()) -> PlanCost:
    """The cost of the runs that are not settled, from what finished runs took.

    `known` holds the facts of the runs in the store (`RunStore.facts`), none before the first.
    """
    facts = list(known)
    final = final_states(plan.config.launch)
    settled = {one["run_id"] for one in facts if one["status"] in final}
    settled |= set(excluded_runs(plan))
    throughput = Throughput.measured(facts, plan.config.launch.speed.flops_per_second)
    sizes: dict[int, list[RunPlan]] = {}
    for run in plan.runs:
        if run.run_id not in settled:
            sizes.setdefault(run.shape.params, []).append(run)
    rungs = tuple(
        RungCost(
            params=params,
            runs=len(runs),
            flops=sum(run.marginal_flops for run in runs),
            device_hours=sum(map(throughput.seconds, runs)) * plan.config.launch.world_size / 3600,
        )
        for params, runs in sorted(sizes.items())
    )
    budget = plan.config.budget
    return PlanCost(
        rungs=rungs,
        is_measured=throughput.is_measured,
        price_per_device_hour=budget.price_per_device_hour,
        currency=budget.currency,
    )


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
