"""Walk a plan: skip what is finished, train the rest, keep every outcome in the store."""

import dataclasses
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scaling.store import RunState, RunStore
from sweeps.health import rungs
from sweeps.launchers.local import TaskEnded, TaskLost, work_through
from sweeps.packing import pack_runs
from sweeps.plan import SweepPlan
from sweeps.work import EventKind, RunEvent, Task, train_task

#: Training these again would give the same result.
SETTLED = frozenset((RunState.FINISHED, RunState.DIVERGED))


@dataclass(frozen=True, kw_only=True)
class SweepOutcome:
    """Where each run of the plan ended up, with the reasons of those that went wrong."""

    states: dict[str, RunState]
    """By run id."""
    reasons: dict[str, str]
    """By run id, for runs that failed or diverged in this call."""
    seconds: float

    def count(self, state: RunState) -> int:
        """How many runs of the plan are in this state."""
        return sum(found is state for found in self.states.values())


def run_sweep(
    plan: SweepPlan,
    store: RunStore,
    *,
    workers: int | None = None,
    on_event: Callable[[RunEvent], None] = lambda event: None,
) -> SweepOutcome:
    """Train what the store does not hold yet, in worker processes, in the order of the plan.

    Finished and diverged runs are skipped; failed and cut-off ones are trained again. A run that
    fails does not stop the others. Safe to interrupt: what is finished stays, the rest is trained
    by the next call. `workers` overrides the config's number.
    """
    start = time.perf_counter()
    known = store.states()
    states = {run.run_id: known.get(run.run_id, RunState.PLANNED) for run in plan.runs}
    for run in plan.runs:
        if states[run.run_id] in SETTLED:
            on_event(RunEvent(kind=EventKind.SKIPPED, run=run, tokens=run.tokens))
    reasons: dict[str, str] = {}
    launch = plan.config.launch
    if workers is not None:
        launch = dataclasses.replace(launch, workers=workers)
    todo = {run_id for run_id, state in states.items() if state not in SETTLED}
    health = plan.config.health
    carriers = rungs(plan.runs).values() if health.check_learning_rate else ()
    tasks = [
        Task(
            pack=pack,
            todo=frozenset(wanted),
            data=plan.config.data,
            launch=launch,
            store=store,
            checked=frozenset(run.run_id for run in carriers),
            health=health,
        )
        for pack in pack_runs(plan.runs, launch)
        if (wanted := todo & {run.run_id for run in pack.runs})
    ]
    happenings = work_through(tasks, train_task, workers=launch.workers, threads=launch.threads)
    try:
        for happening in happenings:
            if isinstance(happening, TaskEnded):
                continue
            if isinstance(happening, TaskLost):
                events = _record_loss(happening, states, store)
            else:
                events = [happening.message]
            for event in events:
                if event.kind in _STATES:
                    states[event.run.run_id] = _STATES[event.kind]
                if event.reason:
                    reasons[event.run.run_id] = event.reason
                on_event(event)
    finally:
        happenings.close()
        with suppress(OSError):  # states of unfinished runs keep it in place
            Path(launch.checkpoints).rmdir()
    return SweepOutcome(states=states, reasons=reasons, seconds=time.perf_counter() - start)


_STATES = {
    EventKind.STARTED: RunState.RUNNING,
    EventKind.FINISHED: RunState.FINISHED,
    EventKind.DIVERGED: RunState.DIVERGED,
    EventKind.FAILED: RunState.FAILED,
}


def _record_loss(lost: TaskLost, states: dict[str, RunState], store: RunStore) -> list[RunEvent]:
    """Write down, in the place of a worker that died, that its unfinished runs failed."""
    events = []
    for run in lost.task.runs:
        if states[run.run_id] not in SETTLED:
            store.start_run(run.run_id, run.name, run.facts()).fail(RunState.FAILED, lost.reason)
            events.append(RunEvent(kind=EventKind.FAILED, run=run, reason=lost.reason))
    return events
