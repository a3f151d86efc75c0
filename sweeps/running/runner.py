"""Walk a plan: skip what is settled, train the rest, keep every outcome in the store."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scaling.errors import StoreError
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.words import counted
from sweeps.config.launch import LaunchConfig
from sweeps.config.sweep import recipe_of
from sweeps.launchers.base import TaskLost, TaskMessage
from sweeps.launchers.local import require_devices
from sweeps.launchers.registry import find_launcher
from sweeps.planning.exclusions import excluded_runs, final_states
from sweeps.planning.packing import Pack, pack_runs, trunk_rows
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan
from sweeps.planning.variants.arms import planned_checks
from sweeps.running.driver_lock import DriverLock
from sweeps.running.early_stop import EarlyStop, Judge
from sweeps.running.events import EventKind, RunEvent
from sweeps.running.leftovers import remove_leftovers
from sweeps.running.page import LoggedProgress, show_plan
from sweeps.running.task import Task
from sweeps.running.worker import train_task

_DRIVER_ENDED = "its driver ended"


@dataclass(frozen=True, kw_only=True)
class SweepOutcome:
    """Where each run of the plan ended up, with the reasons of those that went wrong."""

    states: dict[str, RunState]
    """By run id."""
    reasons: dict[str, str]
    """By run id, for runs that failed or diverged in this call."""
    seconds: float
    unstored: tuple[str, ...] = ()
    """Names of the runs that ended in this call and that the store does not hold so."""
    kept_in: str = ""
    """The folder of what those could write."""

    def require_stored(self) -> None:
        """Raise StoreError, which names them, where runs that ended are not in the store."""
        if self.unstored:
            raise StoreError(
                f"{counted(len(self.unstored), 'run')} ended, but cannot be found in the run store "
                f"({', '.join(self.unstored)}); what could be written is kept in {self.kept_in}: "
                "mend the store, and the next `scaling run` sends it"
            )

    def count(self, state: RunState) -> int:
        """How many runs of the plan are in this state."""
        return sum(found is state for found in self.states.values())


def run_sweep(
    plan: SweepPlan,
    store: RunStore,
    *,
    workers: int | None = None,
    on_event: Callable[[RunEvent], None] = lambda event: None,
    judge: Judge | None = None,
) -> SweepOutcome:
    """Train what the store does not hold yet, in worker processes, in the order of the plan.

    Finished, diverged and excluded runs are skipped; failed and interrupted ones are trained again.
    A run that fails does not stop the others; those whose worker dies go on from their last
    checkpoint, `launch.policy.tries` times at most. Safe to interrupt: what is finished stays, the
    rest is trained by the next call; SIGTERM counts as Ctrl-C, after which workers save their
    states. `workers` overrides the config's number; `judge` stops runs whose outcome is settled
    (`sweeps.running.early_stop`). Raises StoreError where another process drives the same sweep.
    """
    store = store.with_parent({"sweep": plan.name})
    with DriverLock(store), _sigterm_as_interrupt():
        store.replay()
        store.close_interrupted(reason=_DRIVER_ENDED)
        show_plan(plan, store)
        with LoggedProgress(plan, store):
            return _Walk(plan, store, on_event, judge).run(workers)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let the end that a batch system or `kill` asks for be as orderly as Ctrl-C's."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals, and it has its own ways
        return

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it has been heard
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Walk:
    """One call of run_sweep: where every run stands by now."""

    def __init__(
        self,
        plan: SweepPlan,
        store: RunStore,
        on_event: Callable[[RunEvent], None],
        judge: Judge | None,
    ) -> None:
        self._plan, self._store, self._on_event, self._judge = plan, store, on_event, judge
        self._final = final_states(plan.config.launch)
        self._known = store.facts()
        states = {run_id: RunState(facts["status"]) for run_id, facts in self._known.items()}
        known = states | dict.fromkeys(excluded_runs(plan), RunState.EXCLUDED)
        self._states = {run.run_id: known.get(run.run_id, RunState.PLANNED) for run in plan.runs}
        self._reasons: dict[str, str] = {}
        self._ended_now: set[str] = set()
        self._losses: Counter[str] = Counter()

    def run(self, workers: int | None) -> SweepOutcome:
        start = time.perf_counter()
        launch = self._plan.config.launch
        if workers is not None:
            launch = launch.changed(workers=workers)
        # Workers elsewhere have other working directories.
        folder = Path(launch.checkpoints.folder).absolute()
        launch = launch.changed(checkpoints={"folder": str(folder)})
        self._clean(folder)
        for run in self._plan.runs:
            if self._states[run.run_id] in self._final:
                tokens = self._known.get(run.run_id, {}).get("tokens", 0)
                self._on_event(RunEvent(kind=EventKind.SKIPPED, run=run, tokens=tokens))
        early_stop, tasks = EarlyStop(self._judge, self._store), self._tasks(launch)
        if any(task.todo for task in tasks):
            require_devices(launch)
        do = find_launcher(launch.engine)
        happenings = do(tasks, train_task, launch, self._after_loss)
        try:
            for happening in happenings:
                early_stop.hear(happening)
                if isinstance(happening, TaskMessage):
                    self._take(happening.message)
                early_stop.look(self._states)
            with suppress(StoreError):  # a job that was preempted has left a try open
                self._store.close_interrupted(reason="went on in another try")
        finally:
            happenings.close()
            self._collect()
            self._clean(folder)
            with suppress(OSError):  # states of unfinished runs keep it in place
                folder.rmdir()
        return SweepOutcome(
            states=self._states,
            reasons=self._reasons,
            seconds=time.perf_counter() - start,
            unstored=self._unstored(),
            kept_in=str(self._store.spool_folder),
        )

    @property
    def _wanted(self) -> list[RunPlan]:
        return [r for r in self._plan.runs if self._states[r.run_id] is not RunState.EXCLUDED]

    def _clean(self, folder: Path) -> None:
        over = (RunState.FINISHED, RunState.DIVERGED)
        ended = frozenset(run_id for run_id, state in self._states.items() if state in over)
        remove_leftovers(trunk_rows(self._wanted), folder, ended)

    def _unstored(self) -> tuple[str, ...]:
        """Names of runs of whose end there was word, but not in the store; of all that ended where
        it cannot be asked."""
        known: dict[str, RunState] = {}
        with suppress(StoreError):
            known = self._store.states()
        stored = {run_id for run_id, state in known.items() if state.has_ended or state.is_final}
        missing = self._ended_now - stored
        return tuple(run.name for run in self._plan.runs if run.run_id in missing)

    def _tasks(self, launch: LaunchConfig) -> list[Task]:
        """Packs of the whole plan, so that a run shares its pack with the same runs each time."""
        wanted = self._wanted
        todo = {run.run_id for run in wanted if self._states[run.run_id] not in self._final}
        health = self._plan.config.health
        checks = planned_checks(self._plan).checks
        make = partial(
            Task,
            data=self._plan.config.data,
            launch=launch,
            store=self._store,
            health=health,
            recipe=recipe_of(self._plan.config) if health.check_recipe else None,
            probes=self._plan.config.probes,
            stops_settled=self._judge is not None,
        )
        checked = {check.run.run_id: check for check in checks}
        column = "recipe_arms" if health.check_recipe else "health"
        unchecked = [  # they had finished before the check was asked for
            check.run
            for check in checks
            if self._states[check.run.run_id] is RunState.FINISHED
            and column not in self._known[check.run.run_id]
        ]
        return [
            make(pack=pack, todo=frozenset(missing), checked=checked)
            for pack in (pack_runs(wanted, launch) if wanted else ())
            if (missing := todo & {run.run_id for run in pack.runs})
        ] + [
            make(pack=Pack(replicas=((run,),)), todo=frozenset(), checked=checked)
            for run in unchecked
        ]

    def _take(self, event: RunEvent) -> None:
        if (state := event.kind.state) is not None:
            self._states[event.run.run_id] = state
            if state.has_ended:
                self._ended_now.add(event.run.run_id)
        if event.reason and event.kind is not EventKind.CHECKED:
            self._reasons[event.run.run_id] = event.reason
        self._on_event(event)

    def _after_loss(self, lost: TaskLost) -> Task | None:
        """What is left of a lost task and worth another try; None where nothing is."""
        self._learn_ends(lost.task)
        left = [run for run in lost.task.runs if self._states[run.run_id] not in self._final]
        if not left:
            return None
        key: str = lost.task.pack.key
        self._losses[key] += 1
        tries, most = self._losses[key], self._plan.config.launch.policy.tries
        if tries < most:
            said = f"{lost.reason}; try {tries + 1} of {most} follows"
            begun = [run for run in left if self._states[run.run_id] is RunState.RUNNING]
            self._close(begun, EventKind.LOST, lost, lost.reason, said)
            return replace(lost.task, todo=frozenset(run.run_id for run in left))
        reason = lost.reason if most == 1 else f"{lost.reason}, in each of {most} tries"
        self._close(left, EventKind.FAILED, lost, reason, reason)
        return None

    def _learn_ends(self, task: Task) -> None:
        """Ask for runs that had ended, perhaps only in the local spool, before word of it came."""
        with suppress(StoreError):  # a store that is away knows nothing: train them again
            self._store.replay()
            known = self._store.facts()
            for run in task.runs:
                facts = known.get(run.run_id, {})
                unheard = self._states[run.run_id] not in self._final
                state = RunState(facts.get("status", RunState.PLANNED))
                if unheard and state.has_outcome:
                    self._take(
                        RunEvent(
                            kind=EventKind(state.value),
                            run=run,
                            tokens=facts.get("tokens", 0),
                            loss=facts.get("loss"),
                            seconds=facts.get("wall_seconds", 0.0),
                            reason=facts.get("reason", ""),
                        )
                    )

    def _close(
        self, runs: list[RunPlan], kind: EventKind, lost: TaskLost, reason: str, said: str
    ) -> None:
        """Write down, in the place of a worker that is gone, how its runs ended, and say it."""
        state = RunState.FAILED if kind is EventKind.FAILED else RunState.INTERRUPTED
        with suppress(StoreError):
            closed = self._store.close_interrupted([run.run_id for run in runs], reason, state)
            for run in runs:
                if run.run_id not in closed:
                    writer = self._store.start_run(run.run_id, run.name, run.facts())
                    writer.log_progress(run.progress(0))
                    if lost.traceback:
                        writer.log_traceback(lost.traceback)
                    writer.fail(state, reason)
                elif lost.traceback:
                    self._store.add_facts(run.run_id, {}, traceback=lost.traceback)
        for run in runs:
            self._take(RunEvent(kind=kind, run=run, reason=said))

    def _collect(self) -> None:
        """Send what the workers could not, and say of runs that have not ended that they were
        interrupted; where the store is away it waits for the next call."""
        with suppress(StoreError):
            self._store.replay()
            self._store.close_interrupted(reason=_DRIVER_ENDED)
