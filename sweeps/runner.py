"""Walk a plan: skip what is settled, train the rest, keep every outcome in the store."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from scaling.errors import StoreError
from scaling.store import RunState, RunStore
from sweeps.driver_lock import DriverLock
from sweeps.launchers.launcher import TaskEnded, TaskLost, find_launcher
from sweeps.packing import pack_runs
from sweeps.plan import RunPlan, SweepPlan
from sweeps.standing import excluded_runs
from sweeps.work import EventKind, RunEvent, Task, train_task

#: Training these again would give the same result.
SETTLED = frozenset((RunState.FINISHED, RunState.DIVERGED, RunState.EXCLUDED))


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
    """Train what the store does not hold yet, by the config's launcher, in the order of the plan.

    Finished, diverged and excluded runs are skipped; failed and cut-off ones are trained again. A
    run that fails does not stop the others; one whose worker dies is tried again, `launch.tries`
    times at most. Safe to interrupt: what is finished stays, the rest is trained by the next call.
    `workers` overrides the config's number. Raises StoreError where another process drives the
    same sweep.
    """
    store = store.with_parent({"sweep": plan.name, "runs": len(plan.runs)})
    with DriverLock(store):
        store.replay()
        store.close_cut_off(reason="cut off: its driver ended")
        return _Walk(plan, store, on_event).run(workers)


class _Walk:
    """One call of run_sweep: where every run stands by now."""

    def __init__(
        self, plan: SweepPlan, store: RunStore, on_event: Callable[[RunEvent], None]
    ) -> None:
        self._plan, self._store, self._on_event = plan, store, on_event
        known = store.states() | dict.fromkeys(excluded_runs(plan), RunState.EXCLUDED)
        self._states = {run.run_id: known.get(run.run_id, RunState.PLANNED) for run in plan.runs}
        self._reasons: dict[str, str] = {}
        self._losses: Counter[str] = Counter()

    def run(self, workers: int | None) -> SweepOutcome:
        start = time.perf_counter()
        launch = self._plan.config.launch
        if workers is not None:
            launch = replace(launch, workers=workers)
        for run in self._plan.runs:
            if self._states[run.run_id] in SETTLED:
                self._on_event(RunEvent(kind=EventKind.SKIPPED, run=run, tokens=run.tokens))
        todo = {run_id for run_id, state in self._states.items() if state not in SETTLED}
        data, store = self._plan.config.data, self._store
        tasks = [
            Task(pack=pack, todo=frozenset(wanted), data=data, launch=launch, store=store)
            for pack in pack_runs(self._plan.runs, launch)
            if (wanted := todo & {run.run_id for run in pack.runs})
        ]
        happenings = find_launcher(launch.engine)(tasks, train_task, launch, self._after_loss)
        try:
            for happening in happenings:
                if not isinstance(happening, TaskEnded | TaskLost):
                    self._take(happening.message)
        finally:
            happenings.close()
            self._collect()
            with suppress(OSError):  # states of unfinished runs keep it in place
                Path(launch.checkpoints).rmdir()
        seconds = time.perf_counter() - start
        return SweepOutcome(states=self._states, reasons=self._reasons, seconds=seconds)

    def _take(self, event: RunEvent) -> None:
        if event.kind in _STATES:
            self._states[event.run.run_id] = _STATES[event.kind]
        if event.reason:
            self._reasons[event.run.run_id] = event.reason
        self._on_event(event)

    def _after_loss(self, lost: TaskLost) -> Task | None:
        """What is left of a lost task and worth another try; None where nothing is."""
        task: Task = lost.task
        self._take_what_ended(task)
        left = [run for run in task.runs if self._states[run.run_id] not in SETTLED]
        again = [run for run in left if self._is_tried_again(run, lost.reason)]
        return replace(task, todo=frozenset(run.run_id for run in again)) if again else None

    def _take_what_ended(self, task: Task) -> None:
        """Runs that had ended when their worker died, perhaps only in the local spool."""
        with suppress(StoreError):  # a store that is away knows nothing: train them again
            self._store.replay()
            known = self._store.facts()
            for run in task.runs:
                facts = known.get(run.run_id, {})
                state = RunState(facts.get("status", RunState.PLANNED))
                ended = state in (RunState.FINISHED, RunState.DIVERGED)
                if ended and self._states[run.run_id] not in SETTLED:
                    self._take(
                        RunEvent(
                            kind=EventKind(state.value),
                            run=run,
                            tokens=run.tokens,
                            loss=facts.get("loss"),
                            seconds=facts.get("wall_seconds", 0.0),
                            reason=facts.get("reason", ""),
                        )
                    )

    def _is_tried_again(self, run: RunPlan, reason: str) -> bool:
        """Write down, in the place of a worker that is gone, how the try of its run ended."""
        self._losses[run.run_id] += 1
        tries, most = self._losses[run.run_id], self._plan.config.launch.tries
        last = tries >= most
        if last and most > 1:
            reason = f"{reason}, in each of {most} tries"
        with suppress(StoreError):
            if not self._store.close_cut_off([run.run_id], reason) and last:
                writer = self._store.start_run(run.run_id, run.name, run.facts())
                writer.fail(RunState.FAILED, reason)
        said = reason if last else f"{reason}; try {tries + 1} of {most} follows"
        kind = EventKind.FAILED if last else EventKind.LOST
        self._take(RunEvent(kind=kind, run=run, reason=said))
        return not last

    def _collect(self) -> None:
        """Send what the workers could not; where the store is away it waits for the next call."""
        with suppress(StoreError):
            self._store.replay()


_STATES = {
    EventKind.STARTED: RunState.RUNNING,
    EventKind.FINISHED: RunState.FINISHED,
    EventKind.DIVERGED: RunState.DIVERGED,
    EventKind.FAILED: RunState.FAILED,
    EventKind.LOST: RunState.PLANNED,
}
