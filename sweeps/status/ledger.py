"""The ledger: where every run of a plan stands, why, and what is left. Nothing of it is stored.

It follows from the plan and the run store alone, so it cannot disagree with them.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.planning.changed_config import EarlierRuns, earlier_runs
from sweeps.planning.costs.cost import flops_to_spend, money
from sweeps.planning.costs.throughput import Throughput
from sweeps.planning.exclusions import excluded_runs, final_states
from sweeps.planning.gpus import workers_for
from sweeps.planning.packing import runs_with_states
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan
from sweeps.running.driver_lock import is_driven

#: What the next `scaling run` makes of an unfinished run, by whether a state of it is kept.
_TAKEN_UP = {
    True: "goes on from its state",
    False: "begins again: launch.checkpoints.folder holds no state of it",
}
#: Columns that the check of a shape adds to the record of the run that carries it.
_CHECKED = {"health", "recipe_arms"}


@dataclass(frozen=True, kw_only=True)
class RunStanding:
    """One planned run: its state, and what is known of it so far."""

    run_id: str
    name: str
    state: RunState
    held_out: bool
    params: int
    tokens: int  # spent so far, by its latest try; as are the two below
    steps: int
    train_flops: int
    planned_tokens: int
    planned_steps: int
    planned_train_flops: int
    flops_left: int  # without what it shares with another run of the plan, or has spent by now
    loss: float | None  # validation loss, nats per token; None until finished
    wall_seconds: float | None
    device_seconds: float | None  # of its latest try so far, its share where runs are stacked
    seconds_left: float  # of one process; estimated; 0 where nothing is left to do
    tries: int  # how often it was started
    reason: str  # why it diverged, failed, or is excluded
    traceback: str = ""  # of an error of ours that it keeps
    outlook: str = ""  # where a running run is heading


@dataclass(frozen=True, kw_only=True)
class SweepStanding:
    """Every run of a plan with its state."""

    sweep: str
    runs: tuple[RunStanding, ...]
    workers: int
    devices_per_worker: int  # they share each run
    price_per_device_hour: float | None
    currency: str
    earlier: EarlierRuns | None = None
    """Runs in the store that the plan does not contain."""
    checked: int = 0
    """Runs that carry the check of their shape."""
    gaps: Mapping[str, Any] | None = None
    """What those checks found, as a JSON document; None where none was made."""
    gap_lines: tuple[str, ...] = ()
    """The same in sentences."""

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state; states without runs are left out."""
        return dict(Counter(run.state.value for run in self.runs))

    @property
    def flops_left(self) -> int:
        """FLOP of the runs that are neither finished, diverged nor excluded."""
        return sum(run.flops_left for run in self.runs)

    @property
    def device_hours_left(self) -> float:
        """Estimated hours of one device that are still to be spent."""
        return sum(run.seconds_left for run in self.runs) * self.devices_per_worker / 3600

    @property
    def wall_seconds_left(self) -> float:
        """Estimated wall time that is left with the config's workers."""
        seconds = [run.seconds_left for run in self.runs]
        return max(max(seconds, default=0.0), sum(seconds) / self.workers)

    @property
    def money_left(self) -> float | None:
        """Estimated money that is still to be spent; None without a price."""
        return money(self.device_hours_left, self.price_per_device_hour)

    @property
    def device_hours_spent(self) -> float:
        """Hours of one device that the latest try of each run has taken so far, as far as they were
        timed."""
        seconds = sum(run.device_seconds or 0.0 for run in self.runs)
        return seconds * self.devices_per_worker / 3600

    @property
    def money_spent(self) -> float | None:
        """What those cost; None without a price."""
        return money(self.device_hours_spent, self.price_per_device_hour)

    @property
    def running(self) -> tuple[RunStanding, ...]:
        """The runs that train at this moment."""
        return tuple(run for run in self.runs if run.state is RunState.RUNNING)

    def with_outlooks(self, outlooks: dict[str, str]) -> "SweepStanding":
        """The same standing, which tells of running runs (by run id) where they are heading."""
        runs = (replace(run, outlook=outlooks.get(run.run_id, "")) for run in self.runs)
        return replace(self, runs=tuple(runs))

    def with_gaps(self, gaps: Mapping[str, Any], lines: Sequence[str]) -> "SweepStanding":
        """The same standing, which tells what the checks of its rungs found."""
        return replace(self, gaps=gaps, gap_lines=tuple(lines))

    def to_json(self) -> str:
        """The standing as one JSON document."""
        document = {
            "sweep": self.sweep,
            "counts": self.counts,
            "workers": self.workers,
            "currency": self.currency,
            "device_hours_spent": self.device_hours_spent,
            "money_spent": self.money_spent,
            "flops_left": self.flops_left,
            "device_hours_left": self.device_hours_left,
            "wall_seconds_left": self.wall_seconds_left,
            "money_left": self.money_left,
            "earlier_runs": self.earlier and asdict(self.earlier),
            "gaps": self.gaps,
            "runs": [vars(run) for run in self.runs],
        }
        return json.dumps(document, indent=2)


def sweep_standing(plan: SweepPlan, store: RunStore) -> SweepStanding:
    """Compare the plan with what the store holds. One query, whatever the size of the sweep."""
    known = store.facts()
    driven = any(facts["status"] == "running" for facts in known.values()) and is_driven(store)
    crashed = [run_id for run_id, facts in known.items() if facts.get("has_traceback")]
    tracebacks = store.tracebacks(crashed) if crashed else {}
    excluded, final = excluded_runs(plan), final_states(plan.config.launch)
    left = flops_to_spend(plan, known, driven=driven)
    wanted = [run for run in plan.runs if run.run_id not in excluded]
    kept = runs_with_states(wanted, plan.config.launch)
    throughput = Throughput.measured(known.values(), plan.config.launch.speed.flops_per_second)
    standings = []
    for run in plan.runs:
        facts = dict(known.get(run.run_id, {}))
        if run.run_id in excluded:
            facts |= {"status": RunState.EXCLUDED, "reason": excluded[run.run_id]}
        elif facts.get("status") == RunState.RUNNING and not driven:
            facts |= {"status": RunState.INTERRUPTED, "reason": "its driver is gone"}
        if facts.get("status") == RunState.INTERRUPTED:
            facts["reason"] = f"{facts['reason']}; {_TAKEN_UP[run.run_id in kept]}"
        elif facts.get("status") == RunState.SETTLED and RunState.SETTLED not in final:
            reason = f"was stopped as settled; {_TAKEN_UP[run.run_id in kept]}"
            facts |= {"status": RunState.PLANNED, "reason": reason}
        traceback = tracebacks.get(run.run_id, "")
        standings.append(_standing(run, facts, throughput, left.get(run.run_id, 0), traceback))
    budget = plan.config.budget
    return SweepStanding(
        sweep=plan.name,
        runs=tuple(standings),
        workers=workers_for(plan.config.launch),
        devices_per_worker=plan.config.launch.world_size,
        price_per_device_hour=budget.price_per_device_hour,
        currency=budget.currency,
        earlier=earlier_runs(plan, known),
        checked=sum(not _CHECKED.isdisjoint(facts) for facts in known.values()),
    )


def _standing(
    run: RunPlan, facts: dict[str, Any], throughput: Throughput, left: int, traceback: str
) -> RunStanding:
    state = RunState(facts.get("status", RunState.PLANNED))
    return RunStanding(
        run_id=run.run_id,
        name=run.name,
        state=state,
        held_out=run.held_out,
        params=run.shape.params,
        tokens=facts.get("tokens", 0),
        steps=facts.get("steps", 0),
        train_flops=facts.get("train_flops", 0),
        planned_tokens=run.tokens,
        planned_steps=run.settings.steps,
        planned_train_flops=run.train_flops,
        flops_left=left,
        loss=facts.get("loss"),
        wall_seconds=facts.get("wall_seconds"),
        device_seconds=facts.get("device_seconds") or facts.get("wall_seconds"),
        seconds_left=throughput.seconds(run) * left / run.marginal_flops,
        tries=facts.get("tries", 0),
        reason=facts.get("reason", ""),
        traceback=traceback,
    )
